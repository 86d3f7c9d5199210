"""The figures of the small network: their numbers, hand-made ones, and what a run has not trained yet."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lora_core.figures import palette
from lora_core.figures.network import beside, curves, every_rank, parts, sweeps
from lora_core.findings.network import finding
from lora_core.network.experiment import RANKS, NetworkExperiment
from lora_core.network.floors import DeepLinearFound
from lora_core.network.presets import usual
from lora_core.network.run import EVERY, NetworkRun, run_lane
from lora_core.network.shape import MODULES
from lora_core.network.sweeps import NetworkSweep, module_plan, rates_plan, spending_plan, sweep_of
from tests.kit.figures import unnamed_axes


@pytest.fixture(scope="module")
def words() -> NetworkRun:
    e = NetworkExperiment(updates=12, batch=4, ranks="1.up:0")
    return NetworkRun(e, run_lane(e), run_lane(e, full=True))


@pytest.fixture(scope="module")
def copier() -> NetworkRun:
    e = replace(usual("copier"), updates=10, batch=4)
    return NetworkRun(e, run_lane(e), run_lane(e, full=True))


def made(plan: tuple, values: np.ndarray) -> NetworkSweep:
    lanes = tuple(lane for stack in plan for lane in stack)
    done = int(np.isfinite(values).sum())
    return NetworkSweep(lanes, values, values / 10, done, done / len(lanes))


def test_curves_stand_at_the_updates_that_were_looked_at(words: NetworkRun) -> None:
    info = curves.curves_info(words, EVERY)
    assert info.places == tuple(words.lora.updates) == (0, 5, 10, 12)
    assert np.array_equal(info.curves[0].values, words.lora.test_loss)
    drawing = curves.curves_drawing(info)
    low, high = drawing["layout"]["yaxis"]["range"]
    assert low < words.full.test_loss.min() < info.lines[0][1] < high
    assert [trace["meta"]["kind"] for trace in drawing["data"]] == ["loss", "loss"]
    assert "LoRA goes from 2.97 to" in curves.curves_alt(info)
    assert drawing["layout"]["yaxis"]["title"]["text"] == "Error (nats a letter)"


def test_no_line_beside_the_curves_is_dashed(words: NetworkRun, copier: NetworkRun) -> None:
    for run in (words, copier):
        ghost = ("Before: rank 2", run.full)
        drawing = curves.curves_drawing(curves.curves_info(run, EVERY, ghost))
        styles = [trace["line"]["dash"] for trace in drawing["data"]]
        styles += [shape["line"].get("dash") for shape in drawing["layout"]["shapes"]]
        assert palette.FLOOR_DASH not in styles
        assert [trace["meta"]["play"] for trace in drawing["data"]] == [True, True, False]


def test_the_copier_is_drawn_in_percent(copier: NetworkRun) -> None:
    info = curves.curves_info(copier, EVERY)
    assert info.lines == (("guessing", 10.0),)
    assert info.curves[1].values == pytest.approx(100 * copier.full.accuracy)


def test_words_stand_side_by_side(words: NetworkRun, copier: NetworkRun) -> None:
    info = parts.words_info(words)
    assert [column.name for column in info.columns] == ["Before", "LoRA", "Full"]
    assert info.columns[0].words[0] == info.columns[1].words[0] == info.columns[2].words[0]
    asked = parts.words_info(copier)
    assert asked.right == tuple(word[::-1] for word in asked.columns[0].words[0])
    assert parts.words_alt(info).startswith("What it writes. Before: ")


def test_the_drawing_has_every_module_and_its_rank(words: NetworkRun) -> None:
    info = parts.modules_info(words)
    drawing = parts.modules_drawing(info)
    assert [module["name"] for module in drawing["modules"]] == list(MODULES)
    ranks = {module["name"]: module["rank"] for module in drawing["modules"]}
    assert (ranks["1.up"], ranks["head"], ranks["0.q"]) == (0, 0, 4)
    changes = np.array(drawing["changes"]["lora"])
    assert changes.shape == (4, 13)
    assert (changes[0] == 0).all()
    assert changes[-1][MODULES.index("1.up")] == 0 < changes[-1][0] <= drawing["most"]
    assert "0.q" in parts.modules_alt(info)
    json.dumps(drawing, allow_nan=False)


def test_every_rank_holds_what_a_run_of_it_shows(words: NetworkRun) -> None:
    e = words.experiment
    other = run_lane(replace(e, rank=1))
    growing = every_rank.every_rank_info(e, (1, 4), (None, words.lora), words.full)
    assert growing.ends == (None, f"{words.lora.test_loss[-1]:.2f}")
    assert every_rank.every_rank_drawing(growing)["trained"] is None
    whole = every_rank.every_rank_drawing(
        every_rank.every_rank_info(replace(e, rank=4), (1, 4), (other, words.lora), words.full)
    )
    assert whole["experiment"] == every_rank.every_rank_drawing(growing)["experiment"]
    assert whole["floors"] is None
    trained = whole["trained"]
    assert np.array_equal(trained["curves"][0], other.test_loss)
    assert trained["titles"][1] == finding(words).headline
    assert trained["details"][0].startswith("LoRA trains 1,488 numbers")
    assert trained["words"][1] == parts.words_drawing(parts.words_info(words))
    assert trained["modules"][1] == parts.modules_drawing(parts.modules_info(words))
    assert trained["plane"][1] == parts.plane_drawing(parts.plane_info(words))


def test_the_plane_holds_both_paths(words: NetworkRun) -> None:
    info = parts.plane_info(words)
    drawing = parts.plane_drawing(info)
    first, second = (path["points"] for path in drawing["paths"])
    assert first[0] == second[0]
    assert first[-1] == pytest.approx([words.lora.test_loss[-1], words.lora.old_loss[-1]], rel=1e-3)
    for name, column in (("x", 0), ("y", 1)):
        axis = drawing["axes"][name]
        values = [point[column] for path in drawing["paths"] for point in path["points"]]
        assert axis["range"][0] < min(values) <= max(values) < axis["range"][1]
        assert all(axis["range"][0] <= tick <= axis["range"][1] for tick in axis["ticks"])
    assert "error on English words" in parts.plane_alt(info)


def test_the_map_of_modules_says_which_is_best_and_what_is_missing() -> None:
    values = np.arange(39, dtype=float) + 1
    info = sweeps.module_map_info(made(module_plan(NetworkExperiment()), values))
    assert sweeps.module_map_words(info) == "At rank 4 alone, 0.q reaches 2.00 and head 38.0."
    values[30:] = np.nan
    growing = sweeps.module_map_info(made(module_plan(NetworkExperiment()), values))
    assert sweeps.module_map_words(growing) == "10 of 13 modules trained."
    cells = sweeps.draw_module_map(growing).data[0].z
    assert cells[12][0] is None
    assert unnamed_axes(sweeps.draw_module_map(growing)) == []
    assert cells[0][0] == 1.0


def test_trained_and_cut_are_compared_and_neither_is_dashed(words: NetworkRun) -> None:
    lanes = [replace(words.experiment, rank=rank) for rank in RANKS]
    growing = sweep_of(lanes, [words.lora, *[None] * 11])
    assert (growing.done, growing.test_loss[0]) == (1, words.lora.test_loss[-1])
    assert np.isnan(growing.test_loss[1:]).all()
    assert np.isnan(sweep_of(lanes[:1], [replace(words.lora, diverged_at=7)]).test_loss[0])
    sweep = made((tuple(lanes),), np.linspace(2.1, 2.0, 12))
    cut = np.linspace(2.6, 2.0, 12), np.linspace(0.1, 0.3, 12)
    info = sweeps.ranks_info(sweep, words.full, cut)
    assert sweeps.ranks_words(info, 4).startswith("Rank 4: trained 2.07, full's change cut to it 2.44; full")
    figure = sweeps.draw_network_ranks(info)
    assert palette.FLOOR_DASH not in [trace.line.dash for trace in figure.data]
    assert unnamed_axes(figure) == unnamed_axes(sweeps.draw_spectra(words.full)) == []
    assert "directions" in sweeps.spectra_words(words.full)
    assert len(sweeps.draw_spectra(words.full).data) == 12


def test_equal_numbers_are_compared_at_the_best_of_their_rates(copier: NetworkRun) -> None:
    plan = spending_plan(NetworkExperiment())
    values = np.array([2.2, 2.1, 2.3, 2.0, 2.1, 2.2, 1.9, 2.0, np.nan, 2.0, 1.95, 2.1])
    info = beside.spending_info(made(plan, values))
    assert info.values.tolist() == [2.1, 2.0, 1.9, 1.95]
    assert info.rates == (0.01, 0.005, 0.005, 0.01)
    whole = beside.spending_info(made(plan, np.nan_to_num(values, nan=2.0)))
    assert "MLP is first with 1.90, q, v last with 2.10" in beside.spending_words(whole)
    assert beside.spending_words(info) == "11 of 12 trained."
    figure = beside.draw_spending(info, 2.0)
    assert len(figure.layout.shapes) == 1
    assert unnamed_axes(figure) == []


def test_rates_are_compared_by_rule_and_rank() -> None:
    sweep = made(rates_plan(NetworkExperiment()), np.tile([2.2, 2.1, 2.0, 2.1, 2.2, 2.3], 9))
    assert beside.rates_words(sweep).count("0.005 at rank") == 9
    figure = beside.draw_rates(sweep)
    assert len(figure.data) == 9
    assert unnamed_axes(figure) == []


def test_only_the_floor_is_dashed() -> None:
    floors = np.array([1.0, 0.5, 0.25, 0.1])
    found = DeepLinearFound(floors, ((0, 0, 0), (1, 0, 0), (1, 1, 0)), np.array([1.0, 0.5, np.nan]), False)
    figure = beside.draw_deep_linear(found)
    assert unnamed_axes(figure) == []
    assert figure.data[0].line.dash == palette.FLOOR_DASH
    assert list(figure.data[0].y) == floors.tolist()
    assert beside.deep_linear_words(found) == "2 splits of ranks trained; each ends within 0 of the floor."

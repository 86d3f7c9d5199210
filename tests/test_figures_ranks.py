"""All ranks, their numbers and words: the knee is the true rank, and nothing falls below its floor."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from lora_core import Experiment, create_toy_dataset, make_problem, run, sweep, train_model
from lora_core.figures.axes import loss_axis, rank_edges
from lora_core.figures.ranks import beside
from lora_core.figures.ranks.beyond import (
    SeedsInfo,
    effective_ranks,
    map_info,
    seeds_info,
    spectrum_info,
    truncation,
)
from lora_core.figures.ranks.drawing import draw_ranks
from lora_core.figures.ranks.numbers import (
    axis_range,
    knee_words,
    new_data_words,
    rank_words,
    ranks_info,
    table,
)
from lora_core.formatting import loss_text
from lora_core.layer import LoRALayer
from lora_core.theory import ideal_delta, knee
from pages.runtime.sweeps import MAP_RANKS, MAP_RATES
from tests.kit.figures import unnamed_axes

SMALL = Experiment(in_features=24, out_features=16, samples=96, rank=1)
TASKS = {
    "default": Experiment(rank=1),
    "digits": Experiment(task="digits", rank=1),
    "turned": Experiment(task="digits", shift="turn", rank=1),
    "noise": replace(SMALL, task="noise"),
    "power law": replace(SMALL, task="power-law"),
    "bias": replace(SMALL, train_bias=True),
    "no noise": replace(SMALL, noise=0.0),
    "few samples": replace(SMALL, samples=16),
    "original": replace(SMALL, init="original", scaling_rule="constant", alpha=1.0),
}


@pytest.fixture(scope="module")
def default():
    experiment = Experiment(rank=1)
    return sweep(experiment), make_problem(experiment)


@pytest.mark.parametrize("true_rank", [1, 2, 4, 8, 12, 16])
def test_the_knee_is_the_true_rank(true_rank: int) -> None:
    for seed in range(5):
        assert knee(make_problem(Experiment(true_rank=true_rank, seed=seed)).floors()) == true_rank


@pytest.mark.parametrize("pairs", [1, 2, 3, 4, 5])
def test_the_knee_is_the_number_of_swapped_pairs(pairs: int) -> None:
    for seed in range(5):
        assert knee(make_problem(Experiment(task="digits", true_rank=pairs, seed=seed)).floors()) == pairs


@pytest.mark.parametrize("name", TASKS)
def test_no_point_lies_below_its_floor(name: str) -> None:
    trained = sweep(TASKS[name])
    info = ranks_info(trained, make_problem(TASKS[name]))
    for place in range(len(info.ranks)):
        start = info.losses[place, 0]
        assert info.final[place] >= info.floor(place) - 1e-9 * start
        assert (info.losses[place] >= info.floor(place) - 2e-7 * start).all()  # trained in 32-bit numbers
    assert info.full_final >= info.floors[-1] - 1e-9 * info.full_curve[0]


def test_a_sweep_s_last_losses_are_those_of_the_runs(default) -> None:
    info = ranks_info(*default)
    for rank in (1, 3, 4, 20):
        expected = run(Experiment(rank=rank)).lora.loss[-1]
        assert info.final[info.place(rank)] == pytest.approx(expected, rel=1e-3)


def test_the_words_name_the_knee_its_share_and_what_is_in_the_way(default) -> None:
    info = ranks_info(*default)
    assert knee_words(info, 0.01).startswith(
        "You need rank 4: its floor 0.00980 is at most 1 % of the base's error"
    )
    assert knee_words(info, 0.01).endswith("It trains 12.5 % of the numbers.")
    assert knee_words(info, 1.0).startswith("No rank is needed")
    assert "too small" in rank_words(info, info.place(3), 0.01)
    assert "is enough" in rank_words(info, info.place(4), 0.01)
    assert "more than needed" in rank_words(info, info.place(9), 0.01)
    assert "trains 2 times the numbers" in rank_words(info, info.place(64), 0.01)
    short = Experiment(rank=1, epochs=5)
    early = ranks_info(sweep(short), make_problem(short))
    assert "the optimizer is in the way" in rank_words(early, early.place(4), 0.01)


def test_the_words_speak_of_new_data_too(default) -> None:
    info = ranks_info(*default)
    at, base = (loss_text(float(each)) for each in (info.test[3], info.base_test))
    assert info.base_test == pytest.approx(float(default[1].residual_test().square().mean()), rel=1e-6)
    assert new_data_words(info, 0.01) == f"On new data rank 4 ends at {at}, and the base is at {base}."
    few = replace(SMALL, samples=16, noise=0.5)
    info = ranks_info(sweep(few), make_problem(few))
    assert 1 - info.test[info.place(4)] / info.base_test < 0.5
    assert "does not carry over" in new_data_words(info, 0.01) or "of no use" in new_data_words(info, 0.01)
    noise = ranks_info(sweep(TASKS["noise"]), make_problem(TASKS["noise"]))
    assert "what it learns is of no use there" in new_data_words(noise, 0.01)
    wild = replace(info, test=np.full(len(info.ranks), np.nan))
    assert new_data_words(wild, 0.01) == ""


def test_a_diverged_rank_is_said_and_drawn_as_a_gap() -> None:
    wild = replace(SMALL, optimizer="sgd", learning_rate=1.0, alpha=64.0)
    info = ranks_info(sweep(wild), make_problem(wild))
    assert np.isnan(info.final).any()
    place = int(np.flatnonzero(np.isnan(info.final))[0])
    assert "diverged" in rank_words(info, place, 0.01)
    low, high = axis_range(info)
    assert 0 < low < high < np.inf
    assert beside.draw_heat(info).data[0].z[place][-1] is None


def test_the_ideal_change_has_the_ideal_spectrum_and_the_whole_energy(default) -> None:
    trained, problem = default
    delta = ideal_delta(problem.X, problem.residual(), 4)
    ideal = replace_adapter(trained, 4, delta)
    info = spectrum_info(ideal, problem, 4)
    np.testing.assert_allclose(info.learnt[:4], info.ideal[:4], rtol=1e-9)
    np.testing.assert_allclose(info.learnt[4:], 0, atol=1e-9 * info.ideal[0])
    assert spectrum_info(trained, problem, 4).used <= 4


def replace_adapter(trained, rank: int, delta: torch.Tensor):
    U, values, Vh = torch.linalg.svd(delta, full_matrices=False)
    factors = (U[:, :rank] * values[:rank], Vh[:rank], 1.0)
    return replace(trained, adapters={rank: factors})


def test_a_cut_adapter_is_its_truncated_svd_and_whole_it_is_the_trained_one(default) -> None:
    trained, problem = default
    info = ranks_info(trained, problem)
    cut = truncation(trained, problem, info.ranks)
    A, B, scaling = trained.adapters[64]
    U, values, Vh = torch.linalg.svd(scaling * A.double() @ B.double(), full_matrices=False)
    R = problem.residual().double()
    for rank in (1, 4, 30):
        delta = U[:, :rank] * values[:rank] @ Vh[:rank]
        oracle = float((R - problem.X.double() @ delta).square().mean())
        assert cut[info.place(rank)] == pytest.approx(oracle, rel=1e-9)
    assert cut[-1] == pytest.approx(info.final[-1], rel=1e-9)
    assert all(cut[i] >= info.floor(i) - 1e-9 for i in range(64))


def test_the_table_has_a_row_a_rank_and_shares_that_pass_one_at_break_even(default) -> None:
    every = tuple(range(1, 65))
    rows = table(ranks_info(*default), truncation(*default, every), effective_ranks(*default, every))
    assert {len(column) for column in rows.values()} == {64}
    assert rows["share_of_full"][31] == 1.0
    assert rows["numbers_trained"][3] == 512
    for rank in (1, 4, 40):
        spectrum = spectrum_info(*default, rank)
        assert rows["rank_used"][rank - 1] == pytest.approx(spectrum.used, rel=1e-9)
        assert rows["energy_kept"][rank - 1] == pytest.approx(spectrum.energy, rel=1e-9)


def test_seeds_find_the_same_knee() -> None:
    info = seeds_info(sweep(SMALL, seeds=range(3)), 0.01)
    assert info.final.shape == (3, 16)
    assert info.knees == (4, 4, 4)
    assert "the knee is at rank 4 in each" in info.words()


@pytest.mark.parametrize(
    ("final", "words"),
    [
        ([[0.4, np.nan], [0.2, np.nan]], "moves a final error by at most 2.00 times, at rank 1"),
        ([[np.nan, np.nan], [np.nan, np.nan]], "every run diverged"),
        ([[0.0, 0.3], [0.0, 0.1]], "moves a final error by at most 3.00 times, at rank 2"),
    ],
)
def test_seeds_that_diverged_or_ended_at_zero_are_left_out_of_the_band(final: list, words: str) -> None:
    info = SeedsInfo((1, 2), (7, 8), np.array(final), (1, 1))
    assert words in info.words()
    figure = beside.draw_seeds(info)
    assert unnamed_axes(figure) == []
    low, high = figure.layout.yaxis.range
    assert np.isfinite([low, high]).all()
    assert low < high


def test_the_map_marks_the_best_rate_of_each_row_and_what_comes_near_it() -> None:
    info = map_info(sweep(SMALL, ranks=[1, 2, 4, 16], learning_rates=MAP_RATES))
    assert info.final.shape == (5, 12)
    for row, best, near in zip(info.final, info.best, info.near(), strict=True):
        assert row[best] == np.nanmin(row)
        assert near[best]
        assert near.tolist() == [value <= 1.05 * row[best] for value in row]
    assert info.nearest(3, 0.011) == (2, MAP_RATES.index(0.01))
    figure = beside.draw_map(info, 16, 0.9)
    assert unnamed_axes(figure) == []
    frame = figure.layout.shapes[-1]
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (10.5, 11.5, 2.5, 3.5)


def test_the_map_of_192_runs_costs_at_most_twelve_of_the_original_loop() -> None:
    """CPU time, both sides in turn and each once before; some 7 on a quiet machine."""
    experiment = Experiment(rank=1)
    X, y = create_toy_dataset(experiment.samples, 64, 64)
    ratios = []

    def seconds(action: Callable[[], object]) -> float:
        start = time.thread_time()
        action()
        return time.thread_time() - start

    def original(epochs: int) -> None:
        train_model(LoRALayer(64, 64, rank=4), X, y, epochs=epochs, lr=0.01)

    sweep(replace(experiment, epochs=2), ranks=MAP_RANKS, learning_rates=MAP_RATES)
    original(2)
    while len(ratios) < 3 and min(ratios, default=np.inf) > 12:
        whole = seconds(lambda: sweep(experiment, ranks=MAP_RANKS, learning_rates=MAP_RATES))
        ratios.append(whole / seconds(lambda: original(experiment.epochs)))
    print(f"\nmap of 192 runs: {min(ratios):.1f} times one run of the original loop")
    assert min(ratios) <= 12


def test_charts_hold_the_numbers_they_are_given(default) -> None:
    info = ranks_info(*default)
    figure = draw_ranks(info, 0.01)
    (last,) = [trace for trace in figure.data if trace.name == "trained"]
    np.testing.assert_array_equal(last.y, info.final)
    curves = [trace for trace in figure.data if trace.meta["part"] == "curve"]
    assert len(curves) == 64
    np.testing.assert_allclose(curves[2].y, info.losses[2], rtol=1e-6)
    names = ["true rank 4", "enough: 4", "rank 1", "rank 64"]
    assert [note.text for note in figure.layout.annotations] == names
    assert unnamed_axes(figure) == ["yaxis2"]  # the same as the axis of the panel beside it
    for other in (beside.draw_heat(info), beside.draw_truncation(info, info.final)):
        assert unnamed_axes(other) == []


def test_the_gap_is_shaded_between_trained_and_floor_and_nowhere_else() -> None:
    wild = replace(SMALL, optimizer="sgd", learning_rate=1.0, alpha=16.0)
    info = ranks_info(sweep(wild), make_problem(wild))
    (gap,) = [trace for trace in draw_ranks(info, 0.01).data if trace.name == "left by the optimizer"]
    finite = [rank for rank, final in zip(info.ranks, info.final, strict=True) if np.isfinite(final)]
    assert 0 < len(finite) < len(info.ranks)
    assert sorted(rank for rank in gap.x if rank is not None) == sorted(2 * finite)
    for rank in finite:
        heights = [y for x, y in zip(gap.x, gap.y, strict=True) if x == rank]
        place = info.place(rank)
        assert heights == [info.final[place], max(info.floor(place), axis_range(info)[0])]


@pytest.mark.parametrize("name", ["bias", "few samples", "digits"])
def test_the_rank_used_is_that_of_the_spectrum(name: str) -> None:
    trained, problem = sweep(TASKS[name]), make_problem(TASKS[name])
    used = effective_ranks(trained, problem, trained.ranks)
    expected = [spectrum_info(trained, problem, rank).used for rank in trained.ranks]
    np.testing.assert_allclose(used, expected, rtol=1e-6)


@pytest.mark.parametrize("ranks", [(1, 2, 3), (1,), (1, 2, 3, 4, 6, 8, 12, 16), (16,)])
def test_each_rank_lies_between_its_edges(ranks: tuple[int, ...]) -> None:
    edges = rank_edges(ranks)
    assert len(edges) == len(ranks) + 1
    assert all(low < rank < high for low, rank, high in zip(edges, ranks, edges[1:], strict=False))


@pytest.mark.parametrize(("low", "high"), [(0.7, 1.4), (0.01, 1.2), (3e-10, 1.0), (1e-30, 1e3)])
def test_a_loss_axis_has_a_few_ticks_with_short_names(low: float, high: float) -> None:
    axis = loss_axis(low, high)
    texts = axis.get("ticktext", [])
    assert isinstance(texts, list)
    assert "dtick" in axis or 2 <= len(texts) <= 13
    assert all(len(text) <= 6 for text in texts)
    for value, text in zip(axis.get("tickvals", []), texts, strict=True):
        assert float(text) == pytest.approx(value, rel=1e-12)
        assert low <= value <= high


def test_a_floor_of_zero_lies_at_the_foot_of_the_axis() -> None:
    experiment = replace(SMALL, noise=0.0)
    info = ranks_info(sweep(experiment), make_problem(experiment))
    figure = draw_ranks(info, 0.01)
    assert min(next(trace for trace in figure.data if trace.name == "floor").y) == axis_range(info)[0]
    assert any("floor 0, below the axis" in note.text for note in figure.layout.annotations)

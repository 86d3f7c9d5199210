"""The figures inside the layer: their numbers against the layer itself, closed forms and autograd."""

import hashlib
from dataclasses import replace
from functools import cache

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from scipy.linalg import subspace_angles  # type: ignore[import-untyped]

from lora_core import Experiment, Run, run
from lora_core.accounting import lora_cost
from lora_core.data import SWAPPED_PAIRS
from lora_core.figures.inside import digits as inside_digits
from lora_core.figures.inside import directions, first_steps, matrices, merge, one_input
from lora_core.figures.inside import parts as inside_parts
from lora_core.figures.inside.drawing import largest, matrix_map, signed_text, tiles
from lora_core.figures.inside.matrices import NAMES, block_mean, block_size, factors, matrices_info
from lora_core.geometry import numerical_rank, principal_angles
from lora_core.training.history import Snapshot
from tests.kit.figures import unnamed_axes
from tests.kit.runs import layer_of

CASES = {
    "default": {"epochs": 60},
    "wide": {"in_features": 6, "out_features": 24, "rank": 2, "epochs": 60, "train_bias": True},
    "above": {"in_features": 5, "out_features": 3, "rank": 12, "epochs": 20},
    "digits": {"task": "digits", "true_rank": 1, "rank": 1, "epochs": 150, "train_bias": True},
    "four swaps": {"task": "digits", "true_rank": 4, "rank": 6},
    "original": {"init": "original", "task": "power-law", "epochs": 30, "scaling_rule": "rslora"},
    "dead": {"init": "zero", "epochs": 5},
    "averaged": {"in_features": 300, "out_features": 130, "rank": 130, "epochs": 3, "samples": 64},
}


@cache
def trained(name: str) -> Run:
    return run(Experiment(**CASES[name]))


def last(found: Run) -> Snapshot:
    return found.lora.snapshots[max(found.lora.snapshots)]


def delta(found: Run) -> torch.Tensor:
    A, B = factors(last(found))
    return found.experiment.scaling * A @ B


# --- matrices -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_norms_and_ranks_are_those_of_the_whole_matrices(name):
    found = trained(name)
    info, W0 = matrices_info(found), found.problem.base.weight.T
    for index, update in enumerate(info.updates):
        if update not in (info.updates[0], info.updates[-1]):
            continue
        A, B = factors(found.lora.snapshots[update])
        change = found.experiment.scaling * A @ B
        for key, matrix in zip(NAMES, (W0, A, B, change, W0 + change), strict=True):
            assert info.shapes[key] == tuple(matrix.shape)
            assert info.norms[key][index] == pytest.approx(float(matrix.norm()), rel=1e-12, abs=1e-13)
            assert info.ranks[key][index] == numerical_rank(torch.linalg.svdvals(matrix.detach()))
        assert info.loss[index] == found.lora.loss[update]


@pytest.mark.parametrize("name", CASES)
def test_maps_are_the_matrices_or_their_block_means(name):
    found = trained(name)
    info, (rows, columns, ranks) = matrices_info(found), matrices_info(found).block
    A, B = factors(last(found))
    W0 = found.problem.base.weight.detach().T
    for drawn, matrix, block in (
        (info.W0, W0, (rows, columns)),
        (info.A[-1], A, (rows, ranks)),
        (info.B[-1], B, (ranks, columns)),
        (info.delta[-1], delta(found), (rows, columns)),
    ):
        np.testing.assert_allclose(drawn, block_mean(matrix.numpy(), *block), rtol=1e-5, atol=1e-6)
        assert max(drawn.shape) <= matrices.MOST_CELLS
    maps = (info.W0, info.A, info.B, info.delta, info.W0 + info.delta)
    assert info.scale == pytest.approx(largest(*maps), rel=1e-6)
    assert bool(matrices.averaged(info)) == (name == "averaged")


def test_what_was_averaged_is_said():
    words = matrices.averaged(matrices_info(trained("averaged")))
    assert "3 × 2 of W₀, 3 × 2 of A, 2 × 2 of B" in words


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (6, 6)])
@pytest.mark.parametrize("drop", [0, 1, 2])
def test_rank_of_the_sum_is_found_without_decomposing_it(shape, drop, monkeypatch):
    generator = torch.Generator().manual_seed(sum(shape) + drop)
    W0 = torch.randn(*shape, generator=generator, dtype=torch.float64)
    U, S, Vh = torch.linalg.svd(W0, full_matrices=False)
    A = torch.randn(shape[0], 3, generator=generator, dtype=torch.float64)
    B = torch.randn(3, shape[1], generator=generator, dtype=torch.float64)
    # A change that takes some directions away again, beside one that adds nothing.
    A[:, :drop], B[:drop] = -U[:, :drop] * S[:drop], Vh[:drop]
    A[:, drop:], B[drop:] = U[:, drop:3], Vh[drop:3]
    monkeypatch.setattr(matrices, "_DIRECT", 0)
    assert numerical_rank(torch.linalg.svdvals(W0 + A @ B)) == min(shape) - drop
    assert matrices._tuned_ranks(W0, S, [(A, B)]) == [min(shape) - drop]


def test_block_means_hold_the_last_block_and_pass_through_products():
    generator = np.random.default_rng(0)
    A, B = generator.normal(size=(11, 3)), generator.normal(size=(3, 7))
    mean = block_mean(A @ B, 4, 3)
    assert mean.shape == (3, 3)
    assert mean[2, 2] == pytest.approx((A @ B)[8:, 6:].mean())
    np.testing.assert_allclose(block_mean(A, 4, 1) @ block_mean(B, 1, 3), mean, atol=1e-14)
    assert [block_size(size) for size in (1, 128, 129, 1024)] == [1, 1, 2, 8]


def test_too_many_bytes_thin_the_updates_and_keep_both_ends(monkeypatch):
    found = trained("default")
    monkeypatch.setattr(matrices, "MOST_BYTES", 200_000)
    info = matrices_info(found)
    assert 2 < len(info.updates) < len(found.lora.snapshots)
    assert (info.updates[0], info.updates[-1]) == (0, 60)
    assert matrices.nearest(info.updates, 0) == 0
    assert matrices.nearest(info.updates, None) == matrices.nearest(info.updates, 999) == 60


def test_a_snapshot_of_full_fine_tuning_is_refused():
    with pytest.raises(ValueError, match="it must be one of an adapter"):
        factors(trained("default").full.snapshots[60])


# --- parts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_parts_add_up_to_the_change_strongest_first(name):
    found = trained(name)
    arguments = (*factors(last(found)), found.experiment.scaling)
    for make in (inside_parts.raw_parts, inside_parts.svd_parts):
        parts = make(*arguments)
        whole = parts.kept(range(parts.switches))
        torch.testing.assert_close(whole, delta(found), rtol=1e-9, atol=1e-12)
        assert (np.diff(parts.strength) <= 1e-12).all()
        each = [float((parts.left[:, [i]] @ parts.right[[i]]).norm()) for i in range(len(parts.place))]
        np.testing.assert_allclose(parts.strength, each, rtol=1e-9, atol=1e-12)
        assert [i for s in range(parts.switches) for i in parts.behind(s)] == list(range(len(parts.place)))
    singular = torch.linalg.svdvals(delta(found))[: len(parts.place)]
    np.testing.assert_allclose(parts.strength, singular, rtol=1e-8, atol=1e-9)


def test_raw_parts_say_where_they_stand():
    A, B = torch.eye(3, dtype=torch.float64), torch.diag(torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64))
    assert inside_parts.raw_parts(A, B, 2.0).place == (1, 2, 0)
    assert inside_parts.raw_parts(A, B, 2.0).strength.tolist() == [6, 4, 2]


@pytest.mark.parametrize("name", CASES)
def test_all_parts_have_the_runs_losses_and_no_part_the_bases(name):
    found = trained(name)
    parts = inside_parts.raw_parts(*factors(last(found)), found.experiment.scaling)
    samples, bias = inside_parts.answers(found.problem), last(found).bias
    whole = inside_parts.effect(samples, parts, range(parts.switches), bias)
    history = found.lora
    assert whole.loss == pytest.approx(history.loss[-1], rel=1e-10)
    assert whole.test_loss == pytest.approx(history.test_loss[-1], rel=1e-10)
    assert whole.test_accuracy == (None if history.test_accuracy is None else history.test_accuracy[-1])
    assert whole.norm == pytest.approx(float(delta(found).norm()), rel=1e-10)
    moved = (found.problem.X @ delta(found)).square().mean().sqrt()
    assert whole.moved == pytest.approx(float(moved), rel=1e-10)
    none = inside_parts.effect(samples, parts, [], None)
    assert none.loss == pytest.approx(float(found.problem.residual().square().mean()), rel=1e-12)
    assert (none.norm, none.moved) == (0, 0)


def test_on_white_inputs_the_svd_loses_exactly_the_parts_switched_off():
    """||X (delta - [delta]_k)||^2 = n sum of the squares beyond k, where X^T X = n and the fit is exact."""
    found = trained("default")
    X = torch.linalg.qr(
        torch.randn(256, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ).Q
    parts = inside_parts.svd_parts(*factors(last(found)), found.experiment.scaling)
    sample = inside_parts.Answers(X * 16, X * 16 @ delta(found), X[:, :1] * 0, None)
    loss, _, _ = sample.losses(*parts.factors([0, 1]), None)
    assert loss == pytest.approx(parts.strength[2] ** 2 / 64, rel=1e-9)


def test_parts_beyond_the_switches_share_the_last():
    parts = inside_parts.raw_parts(*factors(last(trained("averaged"))), 1.0)
    assert parts.switches == 12
    assert parts.behind(11) == list(range(11, 130))
    assert parts.norm(11) == pytest.approx(float((parts.left[:, 11:] @ parts.right[11:]).norm()))
    assert inside_parts.switch_name(parts, 11) == "12–130"
    assert inside_parts.switch_name(parts, 0) == "1"


def test_outputs_are_the_layers():
    found = trained("wide")
    whole = delta(found)
    info = inside_parts.outputs_info(found.problem, 3, whole, whole, last(found).bias)
    y = layer_of(found)(found.problem.X_test[3]).detach()
    np.testing.assert_allclose(info.tuned, y[info.place], rtol=1e-12)
    np.testing.assert_array_equal(info.target, found.problem.Y_test[3][info.place])
    assert (len(info.place), info.total) == (16, 24)
    moved = (found.problem.X_test[3] @ whole).abs()
    assert moved[info.place].min() >= np.delete(moved.numpy(), info.place).max()


# --- one input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_flow_is_the_layers_forward(name):
    found = trained(name)
    info = one_input.flow_info(found.problem, last(found), found.experiment.scaling, 7)
    x = found.problem.X_test[7]
    np.testing.assert_allclose(info.y, layer_of(found)(x).detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(info.base, found.problem.base(x).detach())
    np.testing.assert_allclose(info.z, x @ factors(last(found))[0])
    assert len(info.z) == found.experiment.rank
    assert abs(info.added[info.followed]) == np.abs(info.added).max()


def test_the_followed_number_adds_up_in_words():
    info = one_input.FlowInfo(
        np.ones(2),
        np.array([0.5, -2.0]),
        np.array([1.0, 0.25]),
        np.array([0.1, -0.75]),
        np.zeros(2),
        1.0,
        False,
    )
    assert one_input.follow(info, "output 2") == (
        "All that the adapter knows of this input is z = (0.500, −2.00). It moves output 2 most: the base "
        "says 0.250, the adapter adds −0.750, out comes −0.500, and the target is 0."
    )


def test_an_adapter_that_adds_nothing_is_told_to():
    words = one_input.follow(one_input.flow_info(trained("dead").problem, last(trained("dead")), 1.0, 0), "")
    assert words.endswith("It adds nothing yet: what comes out is what the base says.")


def test_an_input_that_is_not_there_is_named():
    found = trained("default")
    with pytest.raises(ValueError, match="index is 512: it must be from 0 to 511"):
        one_input.flow_info(found.problem, last(found), 1.0, 512)


# --- digits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "four swaps"])
def test_the_gallery_counts_what_the_accuracies_say(name):
    found = trained(name)
    info = inside_digits.gallery_info(found.problem, last(found), found.experiment.scaling)
    assert info.right_after / 500 == found.lora.test_accuracy[-1]
    assert info.right_before / 500 == found.lora.test_accuracy[0]
    assert info.right_before + len(info.fixed) - len(info.broke) == info.right_after
    assert (info.after[info.fixed] == info.labels[info.fixed]).all()
    assert (info.before[info.broke] == info.labels[info.broke]).all()
    index = int(info.fixed[0])
    assert info.name(index) == f"{index}: {info.before[index]} → {info.labels[index]}"


def test_pictures_are_columns_in_rows_of_eight():
    found = trained("digits")
    info = inside_digits.pictures_info(found.problem, last(found), found.experiment.scaling)
    np.testing.assert_array_equal(info.delta, delta(found))
    np.testing.assert_array_equal(info.W0, found.problem.base.weight.detach().T)
    row = tiles(info.W0)
    assert row.shape == (8, 89)
    np.testing.assert_array_equal(row[:, 9:17].ravel(), info.W0[:, 1])
    assert np.isnan(row[:, 8]).all()


def test_one_swapped_pair_is_the_picture_of_eight_minus_three():
    """Swapping two targets asks for (w8 - w3) (e3 - e8)^T: rank 1 and nothing else."""
    found = trained("digits")
    info = inside_digits.pictures_info(found.problem, last(found), found.experiment.scaling)
    twin = inside_digits.twin_info(found.problem, info, pairs=1)
    assert (twin.con, twin.pro) in {(8, 3), (3, 8)}
    assert f"**{twin.con} minus {twin.pro}**" in inside_digits.twin_words(twin)
    assert abs(twin.agreement) > 0.98
    inked = info.inked
    cosine = twin.picture[inked] @ twin.base[inked]
    cosine /= np.linalg.norm(twin.picture[inked]) * np.linalg.norm(twin.base[inked])
    assert cosine > 0.95
    assert np.isnan(twin.picture[~inked]).all()
    assert 45 < inked.sum() < 64


def test_of_four_swapped_pairs_the_one_told_apart_most_is_shown():
    """The ideal change for a swapped pair a, b adds w_b - w_a to a and w_a - w_b to b."""
    found = trained("four swaps")
    info = inside_digits.pictures_info(found.problem, last(found), found.experiment.scaling)
    twin = inside_digits.twin_info(found.problem, info, pairs=4)
    X = found.problem.X_test.numpy()
    told = {pair: np.linalg.norm(X @ (delta(found)[:, pair[0]] - delta(found)[:, pair[1]]).numpy())
            for pair in SWAPPED_PAIRS[:4]}  # fmt: skip
    assert (twin.pro, twin.con) == max(told, key=told.__getitem__)
    ideal = 2 * (info.W0[:, twin.con] - info.W0[:, twin.pro])
    drawn = np.where(info.inked, delta(found).numpy()[:, twin.pro] - delta(found).numpy()[:, twin.con], 0)
    np.testing.assert_allclose(np.nan_to_num(twin.picture), drawn)
    assert np.linalg.norm(X @ (drawn - ideal * info.inked)) < 0.25 * np.linalg.norm(X @ ideal)
    assert twin.agreement > 0.98
    assert twin.name == f"s·A·B: {twin.pro} minus {twin.con}"
    assert "with 4 pairs swapped" in inside_digits.twin_words(twin)


def test_an_adapter_that_agrees_with_nothing_says_so():
    found = trained("digits")
    info = inside_digits.pictures_info(found.problem, last(found), found.experiment.scaling)
    turned = replace(info, A=-info.A)
    assert "correlation of **−0.9" in inside_digits.twin_words(
        inside_digits.twin_info(found.problem, turned, pairs=1)
    )


def test_what_a_layer_says_is_its_largest_output():
    assert inside_digits.said(np.array([0.1, 0.875, -2.0])) == "1 (0.875)"


# --- who moves first ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["default", "wide", "above", "digits", "original", "dead"])
def test_gradients_are_autograds(name):
    found = trained(name)
    layer, problem = layer_of(found), found.problem
    torch.nn.functional.mse_loss(layer(problem.X), problem.Y).backward()
    A, B = first_steps.gradients(
        problem.X, problem.residual(), *factors(last(found)), found.experiment.scaling, last(found).bias
    )
    torch.testing.assert_close(A, layer.lora_A.grad, rtol=1e-8, atol=1e-13)
    torch.testing.assert_close(B, layer.lora_B.grad, rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("train_bias", [False, True])
def test_the_first_updates_are_the_runs(optimizer, train_bias):
    e = Experiment(
        in_features=12, out_features=5, rank=2, optimizer=optimizer, train_bias=train_bias, epochs=9
    )
    found = run(e, snapshots=range(10))
    info, start = first_steps.start_info(e, found.problem), found.lora.snapshots[0]
    R = found.problem.residual()
    for update, snapshot in found.lora.snapshots.items():
        A, B = factors(snapshot)
        norms = [
            float(g.norm()) for g in first_steps.gradients(found.problem.X, R, A, B, e.scaling, snapshot.bias)
        ]
        np.testing.assert_allclose([info.gradients[key][update] for key in "AB"], norms, rtol=1e-9)
        moved = [float((A - start.A).norm()), float((B - factors(start)[1]).norm())]
        np.testing.assert_allclose([info.moved[key][update] for key in "AB"], moved, rtol=1e-9, atol=1e-15)
    assert info.gradients["A"][0] == 0 < info.gradients["B"][0]
    assert info.moved["A"][1] == 0 < info.moved["B"][1]
    assert info.gradients["A"][1] > 0


def test_every_way_to_start_says_what_it_moves():
    found = trained("default")
    ways = {str(way.init): way for way in first_steps.beginnings(found.experiment, found.problem)}
    assert {name: way.moves for name, way in ways.items()} == {
        "kaiming": "B alone",
        "gaussian": "B alone",
        "original": "both",
        "zero": "nothing, ever",
    }
    base = float(found.problem.residual().square().mean())
    assert [ways[name].loss for name in ("kaiming", "gaussian", "zero")] == pytest.approx(
        [base] * 3, rel=1e-12
    )
    assert ways["kaiming"].loss == pytest.approx(found.lora.loss[0], rel=1e-12)
    assert ways["original"].loss == pytest.approx(
        run(replace(found.experiment, init="original", epochs=1)).lora.loss[0], rel=1e-10
    )


# --- the merge ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_merging_changes_the_weight_and_not_what_the_layer_says(name):
    found = trained(name)
    e = found.experiment
    info = merge.merge_info(e, found.problem, last(found))
    assert info.single.relative < 2e-6
    assert info.double.relative < 1e-14
    start = merge.checksum(found.problem.base.weight.float())
    assert info.unmerged == start
    assert (info.merged == start) == found.dead
    cost = lora_cost(e.in_features, e.out_features, e.rank)
    assert (info.before, info.after) == (cost.inference_unmerged, cost.inference_merged)
    assert info.before - info.after == e.rank * (e.in_features + e.out_features)


@pytest.mark.parametrize("name", CASES)
def test_training_by_the_plain_loop_leaves_the_frozen_weight_to_the_bit(name):
    found = trained(name)
    e = found.experiment
    info = merge.frozen_info(e, found.problem)
    assert info.start == info.trained == merge.checksum(found.problem.base.weight.float())
    assert (info.updates, info.samples) == (
        (3, 64) if name == "averaged" else (e.epochs, len(found.problem.X))
    )
    A, B = factors(last(found))
    start = [found.lora.snapshots[0].A, factors(found.lora.snapshots[0])[1]]
    moved = torch.cat([(one - other).flatten() for one, other in zip((A, B), start, strict=True)]).norm()
    assert info.moved == pytest.approx(float(moved), rel=1e-2)
    assert (info.moved == 0) == found.dead


def test_a_checksum_is_the_one_of_the_bytes():
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    expected = hashlib.sha256(np.arange(6, dtype=np.float32).tobytes()).hexdigest()
    assert merge.checksum(weight) == expected[:12]
    weight[1, 2] = torch.nextafter(weight[1, 2], torch.tensor(9.0))
    assert merge.checksum(weight) != expected[:12]


# --- directions ---------------------------------------------------------------------------------------------


def test_an_adapter_is_itself():
    info = directions.phi_info(last(trained("default")), last(trained("default")))
    np.testing.assert_allclose(np.diagonal(info.reads), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.diagonal(info.writes), 1.0, atol=1e-12)
    assert info.chance == (1 / 64, 1 / 64)


def test_phi_is_the_papers():
    found, other = trained("default"), run(Experiment(rank=5, epochs=60))
    info = directions.phi_info(last(found), last(other))
    for phi, one, two in (
        (info.reads, last(found).A, last(other).A),
        (info.writes, factors(last(found))[1].T, factors(last(other))[1].T),
    ):
        U1, U2 = (torch.linalg.svd(each, full_matrices=False).U for each in (one, two))
        for i in range(1, 4):
            for j in range(1, 6):
                expected = float((U1[:, :i].T @ U2[:, :j]).square().sum()) / min(i, j)
                assert phi[i - 1, j - 1] == pytest.approx(expected, abs=1e-10)


def test_an_adapter_whose_b_is_zero_writes_nowhere():
    found = trained("default")
    info = directions.phi_info(found.lora.snapshots[0], last(found))
    assert info.reads.shape == (3, 3)
    assert info.writes.shape == (0, 3)


def test_a_rank_that_suffices_turns_into_the_true_subspace():
    found = run(Experiment(rank=4, noise=0.0, epochs=400))
    info = directions.angles_info(found)
    assert info.count == 4
    assert np.isnan(info.reads[0]).all()  # no change yet, so no direction
    assert (info.reads[1] > 5).all()
    assert (info.reads[-1] < 0.1).all()
    assert (info.writes[-1] < 0.1).all()


@pytest.mark.parametrize("task", ["low-rank", "power-law"])
def test_angles_are_those_between_the_whole_matrices(task):
    found = run(Experiment(task=task, in_features=20, out_features=8, rank=3, true_rank=2, epochs=30))
    info, true = directions.angles_info(found), found.problem.true_delta
    count = 2 if task == "low-rank" else 3
    U, _, Vh = torch.linalg.svd(true, full_matrices=False)
    for rows, own, truth in (
        (info.reads, delta(found), U[:, :count]),
        (info.writes, delta(found).T, Vh[:count].T),
    ):
        expected = torch.rad2deg(principal_angles(own, truth))[:count]
        np.testing.assert_allclose(rows[-1], expected, atol=1e-5)
    assert info.count == count


@pytest.mark.parametrize("name", ["digits", "four swaps"])
def test_an_adapter_writes_what_swapped_labels_ask_for(name):
    """Each pair asks for one output less the other, and no other output is to change."""
    found = trained(name)
    info, pairs = directions.angles_info(found), found.experiment.true_rank
    eye = np.eye(10)
    asked = np.stack([eye[one] - eye[other] for one, other in SWAPPED_PAIRS[:pairs]], axis=1)
    written = np.linalg.svd(delta(found).numpy().T)[0][:, : found.experiment.rank]
    expected = np.rad2deg(subspace_angles(written, asked))[::-1]
    np.testing.assert_allclose(info.writes[-1], expected, atol=1e-5)
    assert (info.writes[-1] < 1).all()
    assert (info.writes[1] > info.writes[-1]).any()
    assert info.reads.shape == (len(info.updates), 0)
    figure = directions.draw_angles(info, 0)
    assert len(figure.data) == pairs
    assert [each.text for each in figure.layout.annotations] == ["Written"]


def test_a_task_without_a_true_change_has_no_angles():
    assert directions.angles_info(run(Experiment(task="noise", epochs=2))) is None
    assert directions.angles_info(run(Experiment(task="digits", shift="turn", epochs=2))) is None
    assert np.isnan(directions.angles_info(trained("dead")).reads).all()
    assert not directions.angles_info(trained("dead")).known
    assert directions.angles_info(trained("default")).known


# --- drawings -----------------------------------------------------------------------------------------------


def drawings(name: str) -> dict[str, go.Figure]:
    """Every figure of a case."""
    found = trained(name)
    e, problem, snapshot = found.experiment, found.problem, last(found)
    digits = e.task == "digits"
    parts = inside_parts.raw_parts(*factors(snapshot), e.scaling)
    whole = parts.kept(range(parts.switches))
    outputs = inside_parts.outputs_info(problem, 0, whole, whole, snapshot.bias)
    figures = {
        "parts": inside_parts.draw_parts(parts, [0], inside_parts.map_limit(parts), classes=digits),
        "outputs": inside_parts.draw_outputs(outputs, classes=digits),
        "flow": one_input.draw_flow(one_input.flow_info(problem, snapshot, e.scaling, 0), digits),
        "start": first_steps.draw_start(first_steps.start_info(e, problem)),
        "phi": directions.draw_phi(directions.phi_info(snapshot, snapshot), ("a", "b")),
    }
    angles = directions.angles_info(found)
    if angles is not None:
        figures["angles"] = directions.draw_angles(angles, max(angles.updates))
    if digits:
        pictures = inside_digits.pictures_info(problem, snapshot, e.scaling)
        gallery = inside_digits.gallery_info(problem, snapshot, e.scaling)
        figures |= {
            "pictures": inside_digits.draw_pictures(pictures),
            "twin": inside_digits.draw_twin(inside_digits.twin_info(problem, pictures, e.true_rank)),
            "gallery": inside_digits.draw_gallery(problem, gallery, [1, 2]),
        }
    return figures


@pytest.mark.parametrize("name", CASES)
def test_every_figure_is_drawn_with_named_axes(name):
    for kind, figure in drawings(name).items():
        figure.to_plotly_json()
        # The second map is counted from the top as the first beside it.
        assert set(unnamed_axes(figure)) <= ({"yaxis2"} if kind == "phi" else set())


def test_a_part_switched_off_is_hollow_and_gone_from_the_map():
    found = trained("default")
    parts = inside_parts.raw_parts(*factors(last(found)), found.experiment.scaling)
    whole, kept = parts.kept([0, 1, 2]), parts.kept([0, 2])
    outputs = inside_parts.outputs_info(found.problem, 0, whole, kept, None)
    bars, heat = inside_parts.draw_parts(parts, [0, 2], 1.0).data
    base, tuned, target = inside_parts.draw_outputs(outputs).data
    np.testing.assert_allclose(bars.x, parts.strength)
    assert [color == "rgba(0,0,0,0)" for color in bars.marker.color] == [False, True, False]
    np.testing.assert_array_equal(heat.z, kept)
    x = found.problem.X_test[0]
    y = (found.problem.base(x).detach() + x @ kept)[outputs.place]
    np.testing.assert_allclose(tuned.y, y, rtol=1e-12)
    np.testing.assert_array_equal(target.y, found.problem.Y_test[0][outputs.place])
    assert list(base.x) == [str(place + 1) for place in outputs.place]


def test_the_drawn_flow_holds_the_numbers_of_the_flow():
    found = trained("default")
    info = one_input.flow_info(found.problem, last(found), found.experiment.scaling, 0)
    figure = one_input.draw_flow(info)
    drawn = [np.ravel(trace.z) for trace in figure.data]
    for values, expected in zip(
        drawn, (info.x, info.z, info.base, info.added, info.y, info.target), strict=True
    ):
        np.testing.assert_array_equal(values, expected)
    words = [each.text for each in figure.layout.annotations]
    assert "<b>z</b><br>3 numbers" in words
    assert [signed_text(value) in words for value in info.z] == [True] * 3
    assert "<b>A</b> 64 × 3" in words
    assert "<b>B</b> 3 × 64, × 2.67" in words
    domains = [axis.domain for axis in figure.select_yaxes()]
    assert domains
    assert all(0 <= low < high <= 1 for low, high in domains)


@pytest.mark.parametrize(("rank", "beside"), [(20, True), (60, False)])
def test_z_is_named_where_there_is_room(rank, beside):
    """At its side, or above it where it is as wide as its path."""
    found = run(Experiment(rank=rank, epochs=2))
    figure = one_input.draw_flow(one_input.flow_info(found.problem, last(found), 1.0, 0))
    words = [each.text for each in figure.layout.annotations]
    assert (f"<b>z</b><br>{rank} numbers" in words) == beside
    assert (f"<b>z</b>, {rank} numbers" in words) != beside
    domains = [axis.domain for axis in figure.select_yaxes()]
    assert domains
    assert all(0 <= low < high <= 1 for low, high in domains)


@pytest.mark.parametrize(
    ("scaling", "text"), [(8, "8"), (8 / 3, "2.67"), (8 / 1024, "0.00781"), (4096 / 3, "1,365")]
)
def test_the_scaling_is_written_as_a_person_would(scaling, text):
    assert matrices.scaling_text(scaling) == text


def test_where_b_is_zero_the_map_of_directions_says_so():
    start = trained("default").lora.snapshots[0]
    figure = directions.draw_phi(directions.phi_info(start, start), ("a", "b"))
    (words,) = [each for each in figure.layout.annotations if "zero" in each.text]
    assert words.text == "B is zero:<br>no directions"
    assert (words.xref, words.yref) == ("x2", "y2")
    assert [trace.xaxis for trace in figure.data] == ["x", "x2"]  # Plotly drops an axis without a trace


def test_maps_count_from_one_and_digits_from_zero():
    matrix = np.arange(6.0).reshape(2, 3)
    assert (matrix_map(matrix).x.tolist(), matrix_map(matrix).y.tolist()) == ([1, 2, 3], [1, 2])
    assert matrix_map(matrix, classes=True).x.tolist() == [0, 1, 2]
    large = matrix_map(np.ones((256, 2)))
    assert large.y[0] == 1.5
    assert "mean" in large.hovertemplate


def test_numbers_have_a_true_minus():
    assert [signed_text(value) for value in (-0.4126, 3.0, 0.0, -1e-6)] == ["−0.413", "3.00", "0", "−1.00e-6"]

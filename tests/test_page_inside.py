"""The page inside the layer without a browser: its numbers are lora_core's, and no corner breaks it."""

import hashlib
import json
import re
import zlib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from lora_core import Experiment, Run
from lora_core.experiment import LIMITS
from lora_core.figures.inside import first_steps
from lora_core.figures.inside.drawing import signed_text
from lora_core.figures.inside.matrices import NAMES, label, matrices_info
from lora_core.formatting import loss_text, percent_text
from lora_core.geometry import principal_angles, singular_directions, subspace_similarity
from lora_core.training.start import lora_layer
from pages.components.time_machine import pack
from tests.kit import runs
from tests.kit.pages import at_link, checked, open_page
from tests.kit.runs import layer_of

PAGE = "pages/2_Inside_the_layer.py"
VIEWS = ("Matrices", "One input", "Parts", "Proofs")
HEADINGS = ["Who moves first", "The merge, proven", "Directions"]


@cache
def opened(view: str = "Matrices", **link: str) -> AppTest:
    """A page that no test changes, on one of its views."""
    return open_page(PAGE, view=view, **link)


def trained(**link: str) -> Run:
    return runs.trained(Experiment(**{name: LIMITS[name].parse(text) for name, text in link.items()}))


def words(app: AppTest) -> str:
    return "\n".join(each.value for each in [*app.markdown, *app.caption, *app.warning])


def table(app: AppTest, column: str) -> dict[str, list[str]]:
    """The table with this column, as columns of words."""
    frames = [each.value.reset_index() for each in app.table]
    (found,) = [frame for frame in frames if column in frame.columns]
    return {str(name): list(found[name]) for name in found.columns}


DIGITS = {"task": "digits", "true_rank": "2", "rank": "2"}
CORNERS = [
    {},
    {"task": "power-law"},
    {"task": "noise"},
    DIGITS,
    {"task": "digits", "shift": "turn", "rank": "5"},
    {"task": "digits", "shift": "invert", "train_bias": "true"},
    {"init": "gaussian"},
    {"init": "original"},
    {"init": "zero"},
    {"init": "zero", "task": "digits"},
    {"rank": "1"},
    {"rank": "1", "task": "digits"},
    {"in_features": "2", "out_features": "2", "rank": "1", "true_rank": "1"},
    {"in_features": "2", "out_features": "2", "rank": "7"},
    {"in_features": "2", "out_features": "1024", "epochs": "3"},
    {"in_features": "1024", "out_features": "2", "epochs": "3"},
    {"out_features": "10", "rank": "96", "epochs": "20"},
    {"epochs": "1"},
    {"optimizer": "sgd", "learning_rate": "1", "alpha": "64"},
    {"samples": "16", "train_bias": "true"},
]


@pytest.mark.parametrize("link", CORNERS, ids=lambda link: " ".join(link.values()) or "default")
def test_no_corner_breaks_the_page(link):
    digits = link.get("task") == "digits"
    names = (*(["Fixed and broken"] if digits else []), *VIEWS)
    app = open_page(PAGE, **link)
    assert [tab.label for tab in app.tabs] == [*names]
    for view in names:
        checked(app.session_state.__setitem__("view", view) or app.run())
        headings = ["Weights are pictures"] if digits and view == "Matrices" else []
        assert [each.value for each in app.header] == (HEADINGS if view == "Proofs" else headings)
        cells = "\n".join(each.value.to_csv() for each in app.table)
        assert bool(cells) == (view in ("Parts", "Proofs"))
        assert not re.search(r"\b(nan|inf)\b", words(app) + cells, re.IGNORECASE)


def test_a_layer_of_a_thousand_by_a_thousand_opens():
    link = {"in_features": "1024", "out_features": "1024", "epochs": "1", "samples": "64"}
    app = open_page(PAGE, view="Proofs", **link)
    for _ in range(10):  # the rest when the floors are there
        if app.header:
            break
        checked(app.run())
    assert [each.value for each in app.header] == HEADINGS
    assert "1,054,720" in "".join(each.delta for each in app.metric) or "1,054,720" in words(app)


def test_a_long_run_grows_here_too_and_then_opens():
    """Its maps are there from the first look, and say no more than has been trained."""
    app = open_page(PAGE, in_features="256", out_features="256", epochs="100", seed="5", epoch="16")
    found = trained(in_features="256", out_features="256", epochs="100", seed="5")
    opened_at = set()
    for _ in range(60):
        if not app.get("progress"):
            break
        assert "epoch" in app.query_params
        at = int(re.search(r"After (\d+) updates? A and B", words(app)).group(1))
        assert f"The error is {loss_text(found.lora.loss[at])}." in words(app)
        opened_at.add(at)
        checked(app.run())
    assert opened_at
    assert max(opened_at) <= 16
    assert f"The error is {loss_text(found.lora.loss[16])}." in words(app)


@pytest.mark.parametrize("link", [{}, DIGITS, {"train_bias": "true", "scaling_rule": "rslora"}], ids=str)
def test_the_matrices_sentence_and_table_are_the_runs(link):
    found = trained(**link)
    e, snapshot, W0 = found.experiment, found.lora.snapshots[200], found.problem.base.weight
    change = e.scaling * snapshot.A @ snapshot.B
    ranks = [int(torch.linalg.matrix_rank(each, rtol=1e-12)) for each in (change, W0)]
    norms = [loss_text(float(each.norm())) for each in (change, W0)]
    assert (
        f"After 200 updates A and B, {e.rank * (e.in_features + e.out_features):,} numbers, make a change "
        f"of rank {ranks[0]} and norm {norms[0]} to a weight of rank {ranks[1]} and norm {norms[1]}. "
        f"The error is {loss_text(found.lora.loss[-1])}."
    ) in words(opened(**link))
    app = open_page(PAGE, view="Matrices", **link)
    rows = checked(app.toggle(key="matrices as a table").set_value(True).run()).dataframe[0].value
    assert rows["updates"].tolist() == sorted(found.lora.snapshots)
    np.testing.assert_array_equal(rows["loss"], found.lora.loss[rows["updates"]])
    assert rows["norm of W0 + s A B"].iloc[-1] == pytest.approx(float((W0.T + change).norm()), rel=1e-12)


@pytest.mark.parametrize(("chosen", "kept"), [("40", 40), ("41", 40), ("0", 0), ("100000", 200)])
def test_the_page_looks_at_the_epoch_of_the_link(chosen, kept):
    app, found = open_page(PAGE, view="Parts", epoch=chosen), trained()
    assert f"After {kept} updates A and B" in words(app)
    assert f"The error is {loss_text(found.lora.loss[kept])}." in words(app)
    assert app.query_params.get("epoch", "200") in (str(kept), [str(kept)])
    assert table(app, "On new data")["Error"][-1] == loss_text(found.lora.loss[kept])


def test_an_epoch_that_is_none_is_told():
    app = checked(at_link(PAGE, epoch="soon").run())
    assert "Epoch in the link is `soon`" in app.warning[0].value
    assert "After 200 updates" in words(app)
    assert "epoch" not in app.query_params


def test_an_epoch_chosen_before_outlives_a_change_of_rank():
    app = open_page(PAGE, epoch="40")
    checked(app.select_slider(key="rank").set_value(4).run())
    assert f"The error is {loss_text(trained(rank='4').lora.loss[40])}." in words(app)


@pytest.mark.parametrize("link", [{}, DIGITS, {"rank": "20", "train_bias": "true"}], ids=str)
def test_what_the_parts_do_is_what_the_layer_does(link):
    app, found = open_page(PAGE, view="Parts", **link), trained(**link)
    rows = table(app, "On new data")
    assert rows["Error"][1:] == [loss_text(found.lora.loss[-1])] * 2
    assert rows["On new data"][1:] == [loss_text(found.lora.test_loss[-1])] * 2
    if found.lora.test_accuracy is not None:
        assert rows["Right on new data"][-1] == percent_text(found.lora.test_accuracy[-1])
        assert rows["Right on new data"][0] == percent_text(found.lora.test_accuracy[0])
    if "train_bias" not in link:
        assert rows["Error"][0] == loss_text(found.floors[0])


def parts_of(app: AppTest):
    return next(each for each in app.button_group if each.label == "Parts switched on")


def test_a_part_switched_off_is_missed():
    app, found = open_page(PAGE, view="Parts", rank="4"), trained(rank="4")
    (view,) = [each for each in app.button_group if each.label == "Written"]
    checked(view.set_value("As its SVD").run())
    checked(parts_of(app).set_value([0, 1, 2]).run())
    snapshot = found.lora.snapshots[200]
    U, S, Vh = torch.linalg.svd(found.experiment.scaling * snapshot.A @ snapshot.B)
    kept = U[:, :3] * S[:3] @ Vh[:3]
    loss = (found.problem.residual() - found.problem.X @ kept).square().mean()
    rows = table(app, "On new data")
    assert rows["Error"][1] == loss_text(float(loss))
    assert rows["Norm"][1] == loss_text(float(S[:3].norm()))
    assert rows["Error"][2] == loss_text(found.lora.loss[-1])
    assert loss > 10 * found.lora.loss[-1]


def test_every_part_can_be_off():
    app = open_page(PAGE, view="Parts")
    rows = table(checked(parts_of(app).set_value([]).run()), "On new data")
    assert rows["Error"][:2] == [rows["Error"][0]] * 2
    assert rows["Norm"][:2] == ["0"] * 2


def test_one_input_is_traced_as_the_layer_answers():
    app, found = open_page(PAGE, view="One input"), trained()
    checked(app.number_input(key="input").set_value(9).run())
    x, target = found.problem.X_test[9], found.problem.Y_test[9]
    layer, snapshot = layer_of(found), found.lora.snapshots[200]
    y, base = layer(x).detach(), found.problem.base(x).detach()
    j = int((y - base).abs().argmax())
    z = ", ".join(signed_text(value) for value in x @ snapshot.A)
    assert (
        f"z = ({z}). It moves output {j + 1} most: the base says {signed_text(base[j])}, the adapter adds "
        f"{signed_text(y[j] - base[j])}, out comes {signed_text(y[j])}, and the target is "
        f"{signed_text(target[j])}."
    ) in words(app)


CASES = [
    {},
    {"task": "digits", "true_rank": "1", "rank": "1", "train_bias": "true"},
    {"task": "power-law", "in_features": "12", "out_features": "5", "rank": "8", "scaling_rule": "rslora"},
    {"init": "original", "optimizer": "sgd", "learning_rate": "0.001", "alpha": "1", "rank": "2"},
]


@pytest.mark.parametrize("link", CASES, ids=str)
def test_parts_are_told_in_the_layers_numbers(link):
    """Their overlap, and what none, the switched and all of them do, each from the change written out."""
    app, found = opened("Parts", **link), trained(**link)
    e, problem, snapshot = found.experiment, found.problem, found.lora.snapshots[200]
    A, B, X = snapshot.A, snapshot.B, problem.X
    squares = sum(float((e.scaling * torch.outer(A[:, i], B[i])).norm() ** 2) for i in range(e.rank))
    change = e.scaling * A @ B
    told = re.search(r"sum to (\S+), and the square of the sum's norm is (\S+):", words(app)).groups()
    assert told == (loss_text(squares), loss_text(float(change.norm() ** 2)))
    rows = table(app, "On new data")
    assert rows["Norm"] == ["0"] + [loss_text(float(change.norm()))] * 2
    moved = (X @ change).square().mean().sqrt()
    assert rows["Outputs move by"] == ["0"] + [loss_text(float(moved))] * 2
    bias = 0 if snapshot.bias is None else snapshot.bias
    none = (problem.residual() - bias).square().mean(), (problem.residual_test() - bias).square().mean()
    assert [rows["Error"][0], rows["On new data"][0]] == [loss_text(float(each)) for each in none]
    whole = torch.nn.functional.mse_loss(layer_of(found)(X), problem.Y)
    assert rows["Error"][1:] == [loss_text(whole.item())] * 2


@pytest.mark.parametrize("link", CASES, ids=str)
def test_who_moves_first_is_autograds(link):
    """Gradients of every way to start, by autograd on the layer in float64."""
    found, ways = trained(**link), table(opened("Proofs", **link), "Moves")
    e, problem = found.experiment, found.problem
    assert {str(e.init), "kaiming", "zero"} <= set(ways["Init"])
    for row, init in enumerate(ways["Init"]):
        layer = lora_layer(replace(e, init=init), problem, torch.float64)
        loss = torch.nn.functional.mse_loss(layer(problem.X), problem.Y)
        loss.backward()
        norms = [float(each.grad.norm()) for each in (layer.lora_A, layer.lora_B)]
        told = [ways[column][row] for column in ("Error", "Gradient of A", "Gradient of B")]
        assert told == [loss_text(each) for each in (loss.item(), *norms)]
        if init == e.init:
            sentence = next(
                each for each in words(opened("Proofs", **link)).splitlines() if "gradient of A is" in each
            )
            assert all(f" {loss_text(each)}" in sentence for each in norms)


@pytest.mark.parametrize("link", CASES, ids=str)
def test_the_merge_is_told_in_the_layers_numbers(link):
    app, found = opened("Proofs", **link), trained(**link)
    e, weight = found.experiment, found.problem.base.weight.detach().float().numpy()
    metrics = {each.label: (each.value, each.delta) for each in app.metric}
    for name, dtype in (("single", torch.float32), ("double", torch.float64)):
        layer, X = layer_of(found, dtype=dtype), found.problem.X_test.to(dtype)
        before = layer(X).detach()
        layer.merge()
        gap = float((layer(X).detach() - before).abs().max())
        relative = f"{loss_text(gap / float(before.abs().max()))} of the largest output"
        told = metrics[f"Largest |merged(x) − adapter(x)|, {name} precision"]
        assert told == (loss_text(gap), relative)
        assert gap < (1e-4 if name == "single" else 1e-12)
        if name == "single":
            merged = layer.linear.weight.detach().numpy()
    rows = table(app, "Compared with the start")
    digests = [hashlib.sha256(each.tobytes()).hexdigest()[:12] for each in (weight, weight, merged, weight)]
    assert rows[" "] == digests
    base, extra = e.in_features * e.out_features, e.rank * (e.in_features + e.out_features)
    assert metrics["Multiply-adds for an input, merged"] == (f"{base:,}", f"unmerged {base + extra:,}")


def test_nothing_is_claimed_of_a_change_that_is_zero():
    for link in ({"init": "zero"}, {"epoch": "0"}):
        found = "".join(words(opened(view, **link)) for view in VIEWS)
        assert "All of it is zero here, so no part does anything." in found
        assert "It adds nothing yet: what comes out is what the base says." in found
        assert "overlap" not in found


def test_a_run_that_diverged_says_so():
    link = {"optimizer": "sgd", "learning_rate": "1", "alpha": "4096"}
    app, found = opened("Proofs", **link), trained(**link)
    assert found.lora.diverged_at == 2
    (warning,) = [each.value for each in app.warning]
    assert "LoRA diverged: at update 2 its error was more than 1,000,000,000 times the first" in warning
    assert f"The last kept before that is update {max(found.lora.snapshots)}." in warning
    assert "by autograd on all 256 samples, and diverges." in words(app)


def test_an_epoch_between_two_kept_ones_is_told():
    assert "Update 41 was chosen: update 40 is the nearest whose A and B were kept." in words(
        opened(epoch="41")
    )
    assert "was chosen" not in words(opened(epoch="40"))


def test_digits_fixed_and_broken_are_counted_and_can_be_traced():
    app, found = open_page(PAGE, **DIGITS), trained(**DIGITS)
    X, labels = found.problem.X_test, found.problem.labels_test
    before, after = found.problem.base(X).argmax(1), layer_of(found)(X).argmax(1)
    fixed = torch.nonzero((before != labels) & (after == labels)).flatten().tolist()
    broke = torch.nonzero((before == labels) & (after != labels)).flatten().tolist()
    right = int((before == labels).sum()), int((after == labels).sum())
    assert (
        f"Of 500 new digits the base had {right[0]} right, {percent_text(right[0] / 500)}. The adapter "
        f"fixed {len(fixed)} and broke {len(broke)}: {right[1]} are right, {percent_text(right[1] / 500)}."
    ) in words(app)
    (trace,) = [each for each in app.button_group if each.label == "Trace one that was fixed"]
    checked(trace.set_value(fixed[3]).run())
    assert app.number_input(key="input").value == fixed[3]
    base, y = (f(X[fixed[3]]).detach() for f in (found.problem.base, layer_of(found)))
    assert (
        f"The label is **{labels[fixed[3]]}**. The base says **{before[fixed[3]]} "
        f"({signed_text(base.max())})**, with the adapter the layer says **{labels[fixed[3]]} "
        f"({signed_text(y.max())})**."
    ) in words(app)


def test_one_swapped_pair_is_told_as_a_difference():
    found = words(opened(task="digits", rank="1", true_rank="1"))
    assert re.search(r"\*\*(8 minus 3|3 minus 8)\*\*", found)
    correlation = float(re.search(r"correlation of \*\*(−?\d\.\d+)\*\*", found).group(1))
    assert correlation > 0.98


def test_the_first_mover_is_told_exactly():
    found = trained()
    info = first_steps.start_info(found.experiment, found.problem)
    assert (
        f"the gradient of A is exactly 0 and that of B {loss_text(info.gradients['B'][0])}. The first update "
        f"moves B by {loss_text(info.moved['B'][1])} and A by 0;"
    ) in words(opened("Proofs"))
    ways = table(opened("Proofs"), "Moves")
    assert ways["Init"] == ["kaiming", "gaussian", "original", "zero"]
    assert ways["Gradient of A"][:2] == ["0", "0"]
    assert ways["Moves"] == ["B alone", "B alone", "both", "nothing, ever"]
    assert "both gradients are exactly 0" in words(opened("Proofs", init="zero"))
    assert "Both factors start random" in words(opened("Proofs", init="original"))


def test_the_merge_is_the_layers_own():
    found, app = trained(), opened("Proofs")
    layer, x = layer_of(found), found.problem.X_test
    before = layer(x).detach()
    layer.merge()
    gap = float((layer(x).detach() - before).abs().max())
    values = {each.label: each.value for each in app.metric}
    assert values["Largest |merged(x) − adapter(x)|, double precision"] == loss_text(gap)
    assert values["Multiply-adds for an input, merged"] == "4,096"
    assert "4,096 multiply-adds for an input instead of 4,480, 8.57 % less" in words(app)
    rows = table(app, "Compared with the start")
    assert rows["Compared with the start"][1] == rows["Compared with the start"][3] == "the same, to the bit"
    assert rows[" "][0] == rows[" "][1] == rows[" "][3] != rows[" "][2]


def test_directions_are_compared_with_another_rank_start_and_seed():
    app, found, other = open_page(PAGE, view="Proofs"), trained(), trained(rank="6")
    one, two = found.lora.snapshots[200], other.lora.snapshots[200]
    for first, second, side in ((one.A, two.A, "read"), (one.B.T, two.B.T, "written")):
        phi = subspace_similarity(singular_directions(first), singular_directions(second))
        assert f"{float(phi[-1, -1]):.3f} for those {side}" in words(app)
    assert "drawn at random they would share 0.094 and 0.094" in words(app)
    for name, note in (("Another start", "another random A"), ("Another seed", "draws other data too")):
        (kind,) = [each for each in app.button_group if each.label == "Compare with"]
        checked(kind.set_value(name).run())
        assert note in words(app)
    checked(app.number_input(key="other seed 43").set_value(7).run())
    other = trained(seed="7").lora.snapshots[200]
    phi = subspace_similarity(singular_directions(one.A), singular_directions(other.A))
    assert f"{float(phi[-1, -1]):.3f} for those read" in words(app)
    checked(app.number_input(key="other seed 43").set_value(42).run())
    assert "φ is 1.000 for those read and 1.000 for those written" in words(app)  # itself


def test_angles_to_the_truth_are_the_cores():
    found, rows = trained(), table(opened("Proofs"), "Angle 1")
    snapshot, true = found.lora.snapshots[200], found.problem.true_delta
    change = snapshot.A @ snapshot.B
    for row, (own, truth) in enumerate(((change, true), (change.T, true.T))):
        angles = torch.rad2deg(principal_angles(own, truth))[:3]
        assert [rows[f"Angle {i + 1}"][row] for i in range(3)] == [f"{float(each):.2f}°" for each in angles]
    assert "no true subspace" in words(opened("Proofs", task="noise"))


def test_swapped_labels_are_found_in_what_is_written():
    link = {"task": "digits", "true_rank": "1", "rank": "1", "train_bias": "true"}
    app, snapshot = opened("Proofs", **link), trained(**link).lora.snapshots[200]
    asked = torch.zeros(10, 1, dtype=torch.float64)
    asked[3], asked[8] = 1, -1
    (angle,) = torch.rad2deg(principal_angles(snapshot.B.T, asked))
    assert table(app, "Angle 1")["Angle 1"] == [f"{float(angle):.2f}°"]
    assert float(angle) < 1
    assert "outputs 3 and 8 trade places. Principal angles to this direction" in words(app)


# --- the message of the time machine ------------------------------------------------------------------------


def unpack(message: bytes) -> dict:
    """The header with its arrays put back, as the browser reads it."""
    inflated = zlib.decompress(message)
    body = 4 + int.from_bytes(inflated[:4], "little")
    header = json.loads(inflated[4:body])
    for name, place in header["arrays"].items():
        offset, size = place["bytes"]
        assert (body + offset) % 8 == 0
        header["arrays"][name] = np.frombuffer(inflated[body + offset : body + offset + size], "<f4")
    return header


@pytest.mark.parametrize("link", [{}, {"rank": "96", "epochs": "20"}, DIGITS], ids=str)
def test_the_browser_gets_every_kept_matrix(link):
    found = trained(**link)
    info = matrices_info(found)
    message = unpack(pack(info, run_id=found.fingerprint, epochs=200, opens_at=info.updates[3]))
    assert (message["run"], message["opensAt"]) == (found.fingerprint, 3)
    arrays, (rows, columns, ranks) = message["arrays"], message["sizes"]
    A = arrays["A"].reshape(-1, rows, ranks)
    B = arrays["B"].reshape(-1, ranks, columns)
    delta = (
        arrays["delta"].reshape(-1, rows, columns) if "delta" in arrays else message["scalings"][0] * A @ B
    )
    assert ("delta" in arrays) == (ranks * (rows + columns) > rows * columns)
    for index, update in enumerate(message["updates"]):
        snapshot = found.lora.snapshots[update]
        np.testing.assert_array_equal(A[index], snapshot.A.float())
        change = (found.experiment.scaling * snapshot.A @ snapshot.B).numpy()
        np.testing.assert_allclose(delta[index], change, rtol=1e-5, atol=1e-5)
        assert message["labels"]["delta"][index] == label(info, "delta", index)
        assert message["losses"][index] == loss_text(found.lora.loss[update])
    assert set(message["labels"]) == set(NAMES)


def test_a_message_of_fifty_adapters_is_small():
    info = matrices_info(trained())
    assert len(info.updates) == 51
    assert len(pack(info, run_id="0" * 16, epochs=200, opens_at=200)) < 120_000

"""Inside the layer: the change as a sum of rank-one parts with switches, as stored or as its SVD."""

from collections.abc import Callable

import streamlit as st
from torch import Tensor

from lora_core.experiment import Experiment, Task
from lora_core.figures.inside import parts as figure
from lora_core.figures.inside.matrices import factors
from lora_core.formatting import loss_text, percent_text
from lora_core.training.run import Run
from pages.components.still_chart import steady_chart
from pages.inside.chosen_input import choose_input

VIEWS: dict[str, Callable[..., figure.Parts]] = {
    "As stored": figure.raw_parts,
    "As its SVD": figure.svd_parts,
}


def draw_parts(run: Run, at: int) -> None:
    """The parts of one view with their switches, and what those switched on do."""
    snapshot, e = run.lora.snapshots[at], run.course.in_force(at)
    raw, svd = (make(*factors(snapshot), e.scaling) for make in VIEWS.values())
    st.markdown(_overlap(raw, svd))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control(
            "Written", list(VIEWS), default=next(iter(VIEWS)), required=True, key="view of parts",
            persist_state="session",
            help="As stored, a part is a column of A times a row of B; those of the SVD are orthogonal.",
        )  # fmt: skip
        index = choose_input(run)
    parts = svd if view == list(VIEWS)[1] else raw
    switches = list(range(parts.switches))
    on = st.pills(
        "Parts switched on", switches, selection_mode="multi", default=switches,
        key=f"parts {view} {parts.switches}", persist_state="session",
        format_func=lambda switch: figure.switch_name(parts, switch),
    )  # fmt: skip
    _draw_figures(run, snapshot.bias, parts, on, figure.map_limit(svd), index)
    bias = ", bias as trained" if snapshot.bias is not None else ""
    rows = [(f"None{bias}", []), ("As switched", on), ("All", switches)]
    st.table(_effects(run, snapshot.bias, parts, dict(rows)), border="horizontal")
    st.caption("Outputs move by: the root of the mean square over the training sample.")


def _overlap(raw: figure.Parts, svd: figure.Parts) -> str:
    opening = "s·A·B is a sum of matrices of rank 1, one for each column of A and row of B."
    squares, norm = float((raw.strength**2).sum()), float((svd.strength**2).sum())
    if norm == 0:
        return f"{opening} All of it is zero here, so no part does anything."
    apart = abs(squares - norm) <= 0.01 * norm
    return (
        f"{opening} As stored, the squares of their norms sum to {loss_text(squares)}, and the square of "
        f"the sum's norm is {loss_text(norm)}: the parts {'hardly overlap' if apart else 'overlap'}. The "
        "singular value decomposition (SVD) writes the same sum with parts that never do. Switch parts off "
        "to see what each is worth."
    )


def _draw_figures(
    run: Run, bias: Tensor | None, parts: figure.Parts, on: list[int], limit: float, index: int
) -> None:
    """Strengths and map of the parts that are on, beside what they make of one input."""
    digits, switches = run.experiment.task is Task.DIGITS, range(parts.switches)
    outputs = figure.outputs_info(run.problem, index, parts.kept(switches), parts.kept(on), bias)
    left, right = st.columns(2, gap="medium")
    strengths = ", ".join(loss_text(parts.norm(switch)) for switch in switches)
    with left:
        alt = f"Strengths {strengths}; map of the {len(on)} parts switched on."
        steady_chart(figure.draw_parts(parts, on, limit, classes=digits), key="parts drawn", alt=alt)
        st.caption("Strength of each part, hollow where it is off, and the sum of those that are on.")
    with right:
        alt = f"Outputs of new input {index}, of the base, with these parts, and the target."
        steady_chart(figure.draw_outputs(outputs, classes=digits), key="outputs drawn", alt=alt)
        shown, total = len(outputs.place), outputs.total
        some = "" if shown == total else f": the {shown} of {total:,} that the whole change moves most"
        st.caption(f"Outputs of new input {index}{some}.")


@st.cache_resource(show_spinner=False, max_entries=8)
def _answers(experiment: Experiment, _run: Run) -> tuple[figure.Answers, figure.Answers]:
    return figure.answers(_run.problem)


def _effects(
    run: Run, bias: Tensor | None, parts: figure.Parts, rows: dict[str, list[int]]
) -> dict[str, list[str]]:
    """What each choice of parts does, as columns of words."""
    samples = _answers(run.experiment, run)
    found = [figure.effect(samples, parts, on, bias) for on in rows.values()]
    columns = {
        "Parts on": list(rows),
        "Error": [loss_text(each.loss) for each in found],
        "On new data": [loss_text(each.test_loss) for each in found],
        "Norm": [loss_text(each.norm) for each in found],
        "Outputs move by": [loss_text(each.moved) for each in found],
    }
    if found[0].test_accuracy is not None:
        columns["Right on new data"] = [percent_text(each.test_accuracy or 0.0) for each in found]
    return columns

"""Inside the layer: the change as a sum of rank-one parts with switches, as stored and as its SVD."""

from collections.abc import Callable

import streamlit as st
from torch import Tensor

from lora_core.experiment import Experiment, Task
from lora_core.figures.inside import parts as figure
from lora_core.figures.inside.matrices import factors
from lora_core.formatting import loss_text, percent_text
from lora_core.training.run import Run
from pages.ui.theme import is_dark

INPUT = "input"
"""Key of the held-out input that the page looks at."""

VIEWS: tuple[tuple[str, str, Callable[..., figure.Parts]], ...] = (
    ("raw", "As stored: column of A × row of B", figure.raw_parts),
    ("svd", "As its SVD: orthogonal parts", figure.svd_parts),
)


@st.fragment
def draw_parts(run: Run, at: int) -> None:
    """Both views side by side, each with its own switches, and what they do to the loss."""
    snapshot, e = run.lora.snapshots[at], run.experiment
    st.subheader("One part for each rank", anchor=False)
    views = [(name, title, make(*factors(snapshot), e.scaling)) for name, title, make in VIEWS]
    raw, svd = (parts for _, _, parts in views)
    st.markdown(_overlap(raw, svd))
    limit = figure.map_limit(svd)
    on = [
        _draw_view(run, at, name, title, parts, limit, column)
        for (name, title, parts), column in zip(views, st.columns(2), strict=True)
    ]
    bias = ", bias as trained" if snapshot.bias is not None else ""
    rows = [
        (f"None{bias}", raw, []),
        ("As stored, as switched", raw, on[0]),
        ("SVD, as switched", svd, on[1]),
        ("All", raw, list(range(raw.switches))),
    ]
    st.table(_effects(run, snapshot.bias, rows), border="horizontal")
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


def _draw_view(
    run: Run,
    at: int,
    name: str,
    title: str,
    parts: figure.Parts,
    limit: float,
    column: st.delta_generator.DeltaGenerator,
) -> list[int]:
    """Switches, strengths and map of one view; returns the switches left on."""
    snapshot, switches = run.lora.snapshots[at], list(range(parts.switches))
    digits = run.experiment.task is Task.DIGITS
    with column:
        on = st.pills(
            title, switches, selection_mode="multi", default=switches, key=f"parts {name} {parts.switches}",
            format_func=lambda switch: figure.switch_name(parts, switch),
        )  # fmt: skip
        index = st.session_state.get(INPUT, 0)
        outputs = figure.outputs_info(run.problem, index, parts.kept(switches), parts.kept(on), snapshot.bias)
        drawing = figure.draw_parts(parts, on, outputs, limit, dark=is_dark(), classes=digits)
        strengths = ", ".join(loss_text(parts.norm(switch)) for switch in switches)
        st.plotly_chart(
            drawing, key=f"parts {name} drawn",
            alt=f"{title}: strengths {strengths}; map of the {len(on)} switched on; outputs of held-out "
            f"input {index}, of the base, with these parts, and the target.",
        )  # fmt: skip
        shown, total = len(outputs.place), outputs.total
        some = "" if shown == total else f": the {shown} of {total} that the whole change moves most"
        st.caption(f"The lower bars are outputs of held-out input {index}{some}.")
    return on


@st.cache_resource(show_spinner=False, max_entries=8)
def _answers(experiment: Experiment, _run: Run) -> tuple[figure.Answers, figure.Answers]:
    return figure.answers(_run.problem)


def _effects(
    run: Run, bias: Tensor | None, rows: list[tuple[str, figure.Parts, list[int]]]
) -> dict[str, list[str]]:
    """What each sum of parts does, as columns of words."""
    samples = _answers(run.experiment, run)
    found = [figure.effect(samples, parts, on, bias) for _, parts, on in rows]
    columns = {
        "Parts on": [name for name, _, _ in rows],
        "Loss": [loss_text(each.loss) for each in found],
        "Held-out loss": [loss_text(each.test_loss) for each in found],
        "Norm": [loss_text(each.norm) for each in found],
        "Outputs move by": [loss_text(each.moved) for each in found],
    }
    if found[0].test_accuracy is not None:
        columns["Held-out accuracy"] = [percent_text(each.test_accuracy or 0.0) for each in found]
    return columns

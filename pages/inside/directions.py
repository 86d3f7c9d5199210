"""Inside the layer: the directions of this adapter beside those of another, and beside the true ones."""

from dataclasses import replace

import pandas as pd
import streamlit as st
import torch

from lora_core.course import Course
from lora_core.data import SWAPPED_PAIRS
from lora_core.experiment import LIMITS, Experiment
from lora_core.fields import IntRange
from lora_core.figures.inside import directions
from lora_core.figures.inside.matrices import nearest
from lora_core.formatting import plural
from lora_core.training.run import Run
from lora_core.training.run import run as train_to_the_end
from pages.components.still_chart import steady_chart
from pages.runtime.queue import QUICK, BusyError
from pages.runtime.runs import AT_ONCE, finished_run, work
from pages.ui.choice import choose_one
from pages.ui.controls import RANKS

OTHERS = ("Another rank", "Another start", "Another seed")


@st.fragment
def draw_geometry(run: Run, at: int) -> None:
    """phi against another adapter, and the angles to the truth where there is one."""
    st.header("Directions", anchor=False)
    _draw_phi(run, at)
    _draw_angles(run, at)


def _draw_phi(run: Run, at: int) -> None:
    e = run.course.in_force(at)
    st.markdown(
        "A reads some directions of the input, B writes some of the output. φ(i, j) compares the i strongest "
        "of this adapter with the j strongest of another: 1 where one holds the other, 0 where they have "
        "nothing in common."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control("Compare with", OTHERS, default=OTHERS[0], required=True, key="compare")
        if kind == OTHERS[0]:
            offered = [rank for rank in RANKS if rank != e.rank]
            default = min(offered, key=lambda rank: abs(rank - 2 * e.rank))
            rank = choose_one("Its rank", offered, offered.index(default), key="other rank", width=120)
            other, name = _other(replace(e, rank=rank), None), f"rank {rank}"
        elif kind == OTHERS[1]:
            other, name = _other(e, 1), "another start"
        else:
            seed = _other_seed(e)
            other, name = _other(replace(e, seed=seed), None), f"seed {seed}"
    if other is None:
        st.caption(f"The run with {name} takes longer than a moment: train it on the playground first.")
        return
    kept = other.lora.snapshots
    info = directions.phi_info(run.lora.snapshots[at], kept[nearest(sorted(kept), at)])
    steady_chart(
        directions.draw_phi(info, (f"rank {e.rank}", name)), key="phi",
        alt=f"Maps of phi(i, j) between this adapter and {name}: directions read, and written.",
    )  # fmt: skip
    st.markdown(_phi_words(info, kind, name))


def _other_seed(e: Experiment) -> int:
    """The control for the seed of the other adapter, and its value."""
    limit = LIMITS["seed"]
    assert isinstance(limit, IntRange)
    first = e.seed + 1 if e.seed < limit.greatest else limit.least
    return int(
        st.number_input("Its seed", limit.least, limit.greatest, first, key=f"other seed {first}", width=160)
    )


def _phi_words(info: directions.PhiInfo, kind: str, name: str) -> str:
    if not info.reads.size:
        return "A is zero: it reads no direction."
    if not info.writes.size:
        return "B is zero: it writes in no direction yet."
    reads, writes = float(info.reads[-1, -1]), float(info.writes[-1, -1])
    shared = f"Of all directions φ is {reads:.3f} for those read and {writes:.3f} for those written"
    shapes = max(info.reads.shape), max(info.writes.shape)
    chance = [min(1.0, size * one) for size, one in zip(shapes, info.chance, strict=True)]
    words = f"{shared}; drawn at random they would share {chance[0]:.3f} and {chance[1]:.3f}."
    notes = {
        OTHERS[0]: " Same data, another rank.",
        OTHERS[1]: " Same data, another random A.",
        OTHERS[2]: " Another seed draws other data too.",
    }
    return words + notes[kind]


def _other(experiment: Experiment, start: int | None) -> Run | None:
    """Another run to compare with, if it is there or takes no longer than a moment."""
    run = finished_run(experiment)
    if start is None or run is None or work(experiment) > AT_ONCE:
        return run if start is None else None
    try:
        return _started_elsewhere(experiment, start, run)
    except BusyError:
        return None


@st.cache_resource(show_spinner=False, max_entries=16)
def _started_elsewhere(experiment: Experiment, start: int, _run: Run) -> Run:
    """The same experiment from another random A."""
    stream = torch.Generator().manual_seed((experiment.seed + start) % 2**32).get_state()
    with QUICK.slot():
        return train_to_the_end(experiment, replace(_run.problem, adapter_stream=stream))


def _draw_angles(run: Run, at: int) -> None:
    info = _angles(run.course, run)
    if info is None:
        st.caption(
            "No change of weights made this task's targets, so there is no true subspace to compare with."
        )
        return
    if not info.known:
        st.caption("The change is zero at every update that was kept: it has no direction to compare.")
        return
    st.markdown(_angles_words(run.experiment, info))
    sides = {"read": info.reads, "written": info.writes}
    sides = {name: angles for name, angles in sides.items() if angles.size}
    steady_chart(
        directions.draw_angles(info, at), key="angles",
        alt=f"Principal angles to the truth over the updates, of the directions {' and '.join(sides)}.",
    )  # fmt: skip
    row = info.updates.index(nearest(info.updates, at))
    found = {"Directions": list(sides)}
    for index in range(min(info.writes.shape[1], 8)):
        found[f"Angle {index + 1}"] = [_degrees(each[row, index]) for each in sides.values()]
    st.caption(f"After {plural(info.updates[row], 'update')}")
    st.table(pd.DataFrame(found).set_index("Directions"), border="horizontal")


def _angles_words(e: Experiment, info: directions.AnglesInfo) -> str:
    scale = "0° is found, 90° not yet touched."
    if not info.reads.size:
        pairs = ", ".join(f"{one} and {other}" for one, other in SWAPPED_PAIRS[: info.count])
        return (
            f"The swapped labels say what has to be written: outputs {pairs} trade places. Principal angles "
            f"to {'this direction' if info.count == 1 else f'these {info.count} directions'}: {scale} What "
            "has to be read is not one direction, for pixels go together: see the pictures."
        )
    strongest = "" if e.shift_rank else "strongest "
    return (
        f"Principal angles to the {strongest}{plural(info.count, 'direction')} of the change that made the "
        f"targets: {scale}"
    )


def _degrees(angle: float) -> str:
    return "–" if angle != angle else f"{angle:.2f}°"


@st.cache_resource(show_spinner=False, max_entries=64)
def _angles(course: Course, _run: Run) -> directions.AnglesInfo | None:
    return directions.angles_info(_run)

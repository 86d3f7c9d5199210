"""A rank under the finger on the playground: on request, one sweep, and then a handle that costs no server.

The rank's curve and floor move on the live chart, and its words below, while the handle is dragged; letting
go of it chooses the rank. Never by itself: a sweep for each visitor's move would starve the room.
"""

import streamlit as st

from lora_core.experiment import Experiment
from lora_core.figures.ranks.drawing import draw_strip
from lora_core.figures.ranks.numbers import RanksInfo, ranks_info
from lora_core.theory import TOLERANCE
from lora_core.training.sweep import Sweep
from pages.components.rank_chart import rank_chart, rank_message
from pages.runtime.sweeps import Plan, grows, problem_of, ranks_plan, trained
from pages.ui.controls import set_field

HEIGHT = 170
"""Of the strip under the live chart, in CSS pixels."""


def draw_finger_toggle() -> bool:
    """The toggle, off at first: whether the handle is wanted."""
    return st.toggle(
        "Rank under the finger", key="rank under the finger",
        help="Train every rank once, then drag a handle under the loss chart: curve, floor and share follow.",
    )  # fmt: skip


def draw_finger(experiment: Experiment) -> None:
    """The handle, to be drawn below the live chart."""
    plan = ranks_plan(experiment)
    sweep = None if grows(plan) else trained(plan, "finger")
    if (
        sweep is None or not sweep.complete
    ):  # it may have made room since, and would be kept with ranks missing
        st.caption("Training every rank of this layer takes longer than a moment. It is done step by step on")
        st.page_link("pages/1_Every_rank.py", label="Every rank", icon=":material/bar_chart:")
        return
    info, message = _packed(plan, sweep)
    rank_chart(message, info, experiment.rank, key="finger", on_pick=lambda rank: set_field("rank", rank))


@st.cache_resource(show_spinner=False, max_entries=16)
def _packed(plan: Plan, _sweep: Sweep) -> tuple[RanksInfo, bytes]:
    info = ranks_info(_sweep, problem_of(plan.experiment))
    figure = draw_strip(info, TOLERANCE)
    return info, rank_message(figure, info, TOLERANCE, key="finger", height=HEIGHT, over_live=True)

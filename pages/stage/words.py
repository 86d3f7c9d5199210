"""View of a scene of the small network: its curves, and beside them what it writes at the same moment."""

import streamlit as st

from lora_core.figures.network.curves import curves_alt, curves_drawing
from lora_core.figures.stage.words import scene_curves, scene_words
from lora_core.talk.numbers import SceneNumbers
from pages.components.live_chart import live_chart
from pages.components.network_view import network_words
from pages.stage.state import Stage


def is_trained(facts: SceneNumbers) -> bool:
    """Whether the runs of a scene's numbers are complete; those of a layer always are."""
    return all(run is None or run.complete for run in (facts.run, facts.beside))


def draw_words(stage: Stage, facts: SceneNumbers, height: int) -> bool:
    """Draw curves and words, and return whether all is trained."""
    run, beside, revealed = facts.run, facts.beside, stage.is_revealed
    complete = is_trained(facts)
    shown = revealed and complete
    info = scene_curves(run, beside, revealed=shown)
    with st.container(key="stage_words"):
        left, right = st.columns([0.56, 0.44])
    with left:
        live_chart(
            curves_drawing(info), run_id=run.fingerprint if shown else f"before-{run.fingerprint}",
            epochs=len(info.places) - 1, key="stage_curves", height=height, zoom=stage.name, log=False,
            alt=curves_alt(info), places=info.places, column="held-out", play=stage.telling if shown else "",
        )  # fmt: skip
    with right:
        words = scene_words(run, beside, revealed=shown)
        network_words(words, run.experiment.rank, key="stage_written", height=height)
    return complete

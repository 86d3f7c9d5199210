"""A page with the live chart and made-up curves, for its browser tests.

Exponential decay to a floor that halves with each rank: the numbers are known without training anything.
"""

import numpy as np
import streamlit as st

from lora_core.figures.loss.numbers import Floor, LossCurve, LossInfo, format_loss
from pages.components.live_chart import live_chart, preload

STREAMED = 800


def curves(rank: int, epochs: int) -> tuple[LossCurve, LossCurve]:
    """LoRA and full fine-tuning with held-out twins, all starting from 1."""
    step = np.arange(epochs + 1)
    floor, full = 0.5**rank, 0.0074

    def decay(low: float, pace: float) -> np.ndarray:
        return low + (1 - low) * np.exp(-step / pace) * (1 + 0.02 * np.sin(step / 3 + rank))

    return (
        LossCurve("lora", f"LoRA, rank {rank}", decay(floor, 9), decay(1.1 * floor + 0.01, 9)),
        LossCurve("full", "Full fine-tuning", decay(full, 7), decay(1.8 * full, 7)),
    )


def chart(info: LossInfo, run_id: str, streaming: tuple[int, int] | None = None) -> None:
    asked = st.query_params.get("report") == "yes"
    live_chart(
        info,
        run_id=run_id,
        epochs=info.epochs,
        key="chart",
        title=f"Rank of {run_id}",
        streaming=streaming,
        on_epoch=_keep if asked else None,
    )
    st.text(f"epoch told: {st.session_state.get('told')}")


def _keep(epoch: int) -> None:
    st.session_state["told"] = epoch


def remembered(now: tuple[int, int]) -> tuple[int, int]:
    """The run before this one; at first, the one of the next rank."""
    if now != st.session_state.get("now"):
        st.session_state["before"] = st.session_state.get("now", (now[0] + 1, now[1]))
        st.session_state["now"] = now
    return st.session_state["before"]


def main() -> None:
    rank = st.slider("Rank", 1, 20, 3)
    epochs = st.select_slider("Epochs", [1, 10, 200, 2000], 200)
    lora, full = curves(rank, epochs)
    before = remembered((rank, epochs))
    ghost = LossCurve("ghost", f"Previous: rank {before[0]}", curves(*before)[0].loss)
    floors = (Floor("lora", f"floor, rank {rank}", 0.5**rank), Floor("full", "floor, full", 0.0074))
    if st.query_params.get("corner") == "yes":
        floors = (floors[0], Floor("full", "floor, full", 0.0))
        lora = LossCurve(
            "lora", lora.label, np.where(np.arange(epochs + 1) < 60, lora.loss, np.nan), None, 60
        )
    pins = [LossCurve("pin", f"Pinned: rank {pin}", curves(pin, epochs)[0].loss) for pin in (2, 6, 9)]
    pins = pins if st.query_params.get("pins") == "yes" else []
    info = LossInfo((lora, full, ghost, *pins), floors, epochs)
    chart(info, f"run-{rank}-{epochs}")
    st.text(f"final loss {format_loss(lora.loss[-1])}")
    st.text_input("A text field")


def stream() -> None:
    """A run that grows by 50 updates a tick."""
    done = st.session_state.setdefault("done", 0)

    def tick() -> None:
        st.session_state["done"] = done = min(st.session_state["done"] + 50, STREAMED)
        lora, full = curves(3, done)
        info = LossInfo((lora, full), (Floor("lora", "floor, rank 3", 0.125),), STREAMED)
        chart(info, "streamed", (done, STREAMED))

    st.fragment(tick, run_every=0.3 if done < STREAMED else None)()


def other() -> None:
    st.title("Another page")


st.set_page_config(layout="wide")
pages = [
    st.Page(main, title="Chart", default=True),
    st.Page(stream, title="Stream", url_path="stream"),
    st.Page(other, title="Other", url_path="other"),
]
page = st.navigation(pages, position="hidden")
with st.sidebar:
    for each in pages:
        st.page_link(each)
    preload()
page.run()

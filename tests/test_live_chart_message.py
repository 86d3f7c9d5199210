"""What the live chart sends to the browser, read back from its bytes."""

import json
import zlib

import numpy as np
import plotly.graph_objects as go
import plotly.offline
import pytest
from streamlit.testing.v1 import AppTest

from lora_core import Experiment, run
from lora_core.figures.loss.drawing import draw_loss, loss_drawing
from lora_core.figures.loss.numbers import Floor, LossCurve, LossInfo, loss_info
from pages.components.live_chart import live_chart
from pages.components.message import pack
from pages.components.serving import VENDOR, WEB


def unpack(message: bytes) -> dict:
    """The header with its arrays put back, as the browser reads it."""
    inflated = zlib.decompress(message)
    length = int.from_bytes(inflated[:4], "little")
    body = 4 + length
    assert body % 8 == 0

    def restore(node: dict) -> object:
        if "bytes" not in node:
            return node
        offset, size = node["bytes"]
        assert offset % 8 == 0
        return np.frombuffer(inflated[body + offset : body + offset + size], f"<{node['dtype']}")

    return json.loads(inflated[4:body], object_hook=restore)


def example(updates: int = 200) -> LossInfo:
    """Two noisy curves with held-out twins and a ghost: nothing for a compressor to find."""
    noise = np.random.default_rng(0)

    def curve() -> np.ndarray:
        return np.exp(-np.arange(updates + 1) / 50) * noise.uniform(0.9, 1.1, updates + 1)

    return LossInfo(
        (
            LossCurve("lora", "LoRA, rank 3", curve(), curve()),
            LossCurve("full", "Full fine-tuning", curve(), curve()),
            LossCurve("ghost", "Previous: rank 4", curve()),
        ),
        (Floor("lora", "floor, rank 3", 0.171), Floor("full", "floor, full", 0.0074)),
        updates,
    )


def test_every_number_arrives_to_the_bit():
    info = example(7)
    figure = unpack(pack(draw_loss(info), {"run": "é", "epochs": 7}))["figure"]
    sent = {trace["name"]: trace["y"] for trace in figure["data"]}
    for curve in info.curves:
        np.testing.assert_array_equal(sent[curve.label], curve.loss)
    np.testing.assert_array_equal(sent["LoRA, rank 3, new data"], info.curves[0].test_loss)


def test_header_survives_beside_arrays_of_odd_size():
    figure = go.Figure(go.Scatter(y=np.arange(3, dtype=np.int16), meta={"kind": "loss"}))
    message = unpack(pack(figure, {"run": "größer", "streaming": [1, 2]}))
    assert message["run"] == "größer"
    assert message["streaming"] == [1, 2]
    assert message["figure"]["data"][0]["y"].tolist() == [0, 1, 2]
    assert "template" not in message["figure"]["layout"]


def test_a_map_arrives_row_by_row():
    figure = go.Figure(go.Heatmap(z=np.array([[1, 2], [3, np.nan]]), x=np.arange(200), text=[["a"], ["b"]]))
    sent = unpack(pack(figure, {}))["figure"]["data"][0]
    np.testing.assert_array_equal(sent["z"], figure.data[0].z)
    np.testing.assert_array_equal(sent["x"], np.arange(200))
    assert sent["text"] == [["a"], ["b"]]


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize(
    "experiment", [{}, {"rank": 64}, {"learning_rate": 1.0, "optimizer": "sgd", "epochs": 30}]
)
def test_a_plain_drawing_arrives_as_the_figure_that_plotly_checks(experiment, log):
    found = run(Experiment(**experiment))
    pins = [("Pinned: rank 2", run(Experiment(rank=2)))]
    found.problem.floors()
    plain = loss_drawing(loss_info(found, pins=pins), log=log)
    checked, sent = unpack(pack(go.Figure(plain), {})), unpack(pack(plain, {}))
    np.testing.assert_equal(lists(sent), lists(checked))


def lists(node: object) -> object:
    """The same with every array as a list."""
    if isinstance(node, dict):
        return {name: lists(value) for name, value in node.items()}
    if isinstance(node, list | np.ndarray):
        return [lists(value) for value in node]
    return node


def test_a_run_of_200_updates_is_a_small_message():
    assert len(pack(draw_loss(example()), {"run": "0" * 16, "epochs": 200})) < 9_500


def test_a_figure_of_ones_own_needs_words():
    with pytest.raises(ValueError, match="alt must be given"):
        live_chart(go.Figure(), run_id="a", epochs=1, key="k")


def test_component_mounts_and_reads_no_state_unless_asked():
    app = AppTest.from_file("browser/live_chart_app.py").run()
    assert not app.exception
    assert "epoch told: None" in [text.value for text in app.text]


def test_no_module_reaches_outside():
    files = list(WEB.rglob("*.*"))
    assert {".js", ".css"} <= {path.suffix for path in files}
    for path in files:
        source = path.read_text()
        assert "http://" not in source.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in source
        assert "innerHTML" not in source


def test_the_plotly_js_beside_the_chart_is_of_the_version_that_python_speaks():
    with (VENDOR / "plotly-cartesian.min.js").open() as script:
        header = script.read(200)
    assert f"v{plotly.offline.get_plotlyjs_version()}\n" in header

"""The playground: move a slider, see at once what it buys.

One experiment, trained: its loss against its floor, and what the adapter trains against full fine-tuning.
"""

from pages.ui.frame import begin

experiment = begin("Playground")

# After the sidebar is on its way: the browser takes a second to start plotly.js, and the server takes one to
# import torch, at the same time.
from pages.components.live_chart import preload  # noqa: E402

preload()

from pages.playground.page import show  # noqa: E402

show(experiment)

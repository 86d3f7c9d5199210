"""The playground: move a slider, see at once what it buys.

One experiment, trained: its loss against its floor, and what the adapter trains against full fine-tuning.
"""

from pages.ui.frame import begin

experiment = begin("Playground")

# After the sidebar is on its way: torch takes more than a second to import.
from pages.ui.playground import show  # noqa: E402

show(experiment)

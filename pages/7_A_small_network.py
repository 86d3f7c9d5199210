"""A small network: teach a speller Italian, and see where the rank goes.

A real decoder, small enough to be adapted live: LoRA and full fine-tuning side by side, what each writes,
where it changed the network, and what it forgets.
"""

from pages.network.controls import NETWORK_CONTROLS
from pages.ui.frame import begin_apart

experiment = begin_apart("A small network", NETWORK_CONTROLS)

# After the sidebar is on its way: torch takes more than a second to import.
from pages.network.page import show  # noqa: E402

show(experiment)

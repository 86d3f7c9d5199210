"""Every rank: which rank does this experiment need? All of them trained at once, and what each one buys."""

from pages.ui.frame import begin

experiment = begin("Every rank")

# After the sidebar is on its way: torch takes more than a second to import.
from pages.every_rank.page import show  # noqa: E402

show(experiment)

"""The code: the original script in four parts, what it does, and the experiment as code to take home."""

from pages.ui.frame import begin

experiment = begin("The code")

# After the sidebar is on its way: torch takes more than a second to import.
from pages.code.page import show  # noqa: E402

show(experiment)

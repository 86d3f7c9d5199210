"""Your adapter: what is in a LoRA file, what its rank holds, and a smaller one of it to take home."""

from pages.ui.frame import begin

experiment = begin("Your adapter")

# After the sidebar is on its way: torch takes more than a second to import.
from pages.adapter.page import show  # noqa: E402

show(experiment)

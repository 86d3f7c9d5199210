"""Inside the layer: what the matrices are after any number of updates, and what they do to one input."""

from pages.ui.frame import begin

experiment = begin("Inside the layer")

# After the sidebar is on its way: torch takes more than a second to import.
from pages.inside.page import show  # noqa: E402

show(experiment)

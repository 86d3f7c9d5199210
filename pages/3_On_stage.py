"""On stage: a talk of ten minutes, run on keys alone, in which the room guesses before it sees."""

from pages.stage.acts import act_on_keys
from pages.stage.state import arrive

act_on_keys()
stage = arrive("On stage")

from pages.ui.frame import begin_without_controls  # noqa: E402

begin_without_controls("On stage", stage.name)

# After the sidebar is on its way: torch takes more than a second to import.
from pages.stage.page import show  # noqa: E402

show(stage)

"""Real models: what a rank costs on the model one would fine-tune.

The rank, alpha, scaling and bias of the sidebar, put on the matrices of a real architecture: what is trained,
where it goes, and what must be held in memory. Nothing is loaded or downloaded.
"""

from pages.models.page import show
from pages.ui.frame import begin

show(begin("Real models"))

"""Real models: what a rank costs on the model one would fine-tune, and whether it fits on one's card.

Rank and alpha of this page's own, put on the matrices of a real architecture: what is trained, where it goes,
and what must be held in memory. Nothing is loaded or downloaded.
"""

from pages.models.page import show
from pages.models.sidebar import MODEL_CONTROLS
from pages.ui.frame import begin_apart

show(begin_apart("Real models", MODEL_CONTROLS))

"""One colour for one meaning, on every figure of the playground.

The hues follow Okabe and Ito, "Color Universal Design" (2008), moved where needed so that every colour
keeps a contrast of at least 3:1 (WCAG 2.2, 1.4.11) on a white page and on a near-black one alike, and so
that any two stay apart for an eye without red or green cones. A figure therefore works in both themes as
it is drawn; a view that knows its theme may trade a colour for its brighter twin in `DARK`.

Colour never speaks alone: held-out curves are dotted, floors dashed, pinned runs have a dash each.
"""

from typing import Final

LORA: Final = "#0072B2"
"""The adapter and everything it trains (blue)."""
FULL: Final = "#D55E00"
"""Full fine-tuning (vermillion)."""
BASE: Final = "#757575"
"""The frozen base layer (grey)."""
GHOST: Final = "#7C98AD"
"""The run before this one: LoRA's hue with the life taken out."""
PINS: Final = ("#1A9E50", "#A346DB", "#8A5A2B")
"""Runs kept for comparison, in the order they were pinned; a fourth starts again at the first."""
INK: Final = "#31333F"
"""What people say rather than a run: a room's guess, in the colour of the page's own text."""
BLACK: Final = "#000000"
WHITE: Final = "#FEFEFE"
"""White on a light and on a dark page."""
PAGE: Final = "#FFFFFF"
"""The page itself: a weight of zero, and text on LoRA's colour."""
CLEAR: Final = "rgba(0,0,0,0)"
FULL_TEXT: Final = "#B34E00"
"""Full fine-tuning's name, which as text needs a contrast of 4.5:1."""
GHOST_TEXT: Final = "#4F6B7F"
"""The name of the run before this one, for the same reason."""
FAINT: Final = "rgba(128,128,128,0.12)"
"""The lower end of a scale: a cell that holds nothing is still seen, in both themes."""
GAP: Final = "rgba(0,114,178,0.18)"
"""LoRA's colour, as a surface: what lies between a curve and its floor."""
NEGATIVE: Final = "#762A83"
POSITIVE: Final = "#1B7837"
"""Ends of the scale for weights: ColorBrewer's PRGn, told apart by every common kind of eye."""
DIVERGING: Final = ((0.0, NEGATIVE), (0.5, PAGE), (1.0, POSITIVE))
"""Plotly colour scale for signed numbers: negative, the page's own colour at zero, positive."""

DARK: Final[dict[str, str]] = {
    LORA: "#4DA9EA",
    FULL: "#F2854A",
    BASE: "#A0A0A0",
    GHOST: "#5B7286",
    PINS[0]: "#7BE3A0",
    PINS[1]: "#E3B5F5",
    PINS[2]: "#FFF2A8",
    FULL_TEXT: "#F2854A",
    GHOST_TEXT: "#8FA6B8",
    PAGE: "#0E1117",
    INK: "#FAFAFA",
    NEGATIVE: "#C79BD2",
    POSITIVE: "#7FC98A",
}
"""Colour -> the same meaning on a dark page."""

ROLES: Final[dict[str, str]] = {
    "lora": LORA,
    "full": FULL,
    "base": BASE,
    "ink-lora": LORA,
    "ink-full": FULL_TEXT,
    "on-lora": PAGE,
    "positive": POSITIVE,
    "negative": NEGATIVE,
}
"""Name of a colour in the style of what a browser draws by itself -> the colour; `DARK` has its twin."""

HELD_OUT_DASH: Final = "dot"
FLOOR_DASH: Final = "dash"
PIN_DASHES: Final = ("dashdot", "longdash", "longdashdot")


def as_text(color: str) -> str:
    """The colour in which a line's name is written: its own, or a darker one that reads as text."""
    return {FULL: FULL_TEXT, GHOST: GHOST_TEXT}.get(color, color)


def pin(index: int) -> tuple[str, str]:
    """Colour and dash of the pinned run `index` (0 = the first pinned)."""
    return PINS[index % len(PINS)], PIN_DASHES[index % len(PIN_DASHES)]

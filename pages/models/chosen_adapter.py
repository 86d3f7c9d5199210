"""The adapter that the page of real models describes: its matrices, their ranks, what else is trained."""

from streamlit.delta_generator import DeltaGenerator

from lora_core.models import (
    TARGET_PRESETS,
    Adapter,
    Bias,
    Family,
    ModelShape,
    family_ranks,
    head_names,
    target_names,
)
from pages.models.controls import check_link, pick, toggle
from pages.models.places import Places
from pages.models.sidebar import Scale

TARGETS = {words: preset for preset, words in TARGET_PRESETS.items()}
RANKED = {
    Family.ATTENTION: "Attention",
    Family.MLP: "MLP",
    Family.OTHER: "Other",
    Family.HEAD: "Head",
}
TEXT_ONLY, WHOLE = "its text model", "the whole model"
MOST_RANK = 1024


def choose_adapter(places: Places, shape: ModelShape, scale: Scale) -> Adapter:
    """The adapter that the sidebar and these controls describe; ValueError where there is none."""
    text_only = _choose_scope(places, shape)
    folded = places.folded.popover("Modules", icon=":material/account_tree:", key="model_folded")
    modules = _choose_modules(folded, shape)
    with places.targets:
        preset = pick(
            "Target modules", tuple(TARGETS), TARGET_PRESETS["qv"], "model_targets", disabled=bool(modules),
            help="Modules chosen by name take its place." if modules else "The matrices that get an adapter.",
        )  # fmt: skip
    heads = head_names(shape.parts)
    with places.switches:
        train_head, adapt_head, dora, biases = _draw_switches(bool(heads), bool(modules))
    targets: str | tuple[str, ...] = tuple(modules) or TARGETS[preset]
    if adapt_head and isinstance(targets, str):
        targets = target_names(shape.parts, targets, head=True, within=shape.text if text_only else "")
    return Adapter(
        scale.rank,
        targets,
        alpha=scale.alpha,
        use_rslora=scale.rslora,
        rank_pattern=_choose_ranks(folded, shape, targets, scale.rank),
        use_dora=dora,
        bias=Bias.ADAPTED if biases else Bias.NONE,
        modules_to_save=heads if train_head else (),
        text_only=text_only,
    )


def _choose_scope(places: Places, shape: ModelShape) -> bool:
    """Whether the text model alone is adapted, of a model that also sees or hears."""
    if not shape.text:
        return False
    with places.scope:
        chosen = pick(
            "Adapt", (TEXT_ONLY, WHOLE), TEXT_ONLY, "model_scope",
            help="In the whole model the same names are adapted in the parts that see or hear too.",
        )  # fmt: skip
    return chosen == TEXT_ONLY


def _choose_modules(place: DeltaGenerator, shape: ModelShape) -> list[str]:
    names = list(dict.fromkeys(module.name for module in shape.modules()))
    check_link("model_modules", "A module", names, "left out", "a linear layer of this model")
    return place.multiselect(
        "Modules by name", names, key="model_modules", bind="query-params",
        placeholder="As Target modules says", help="As PEFT's target_modules takes them.",
    )  # fmt: skip


def _choose_ranks(
    place: DeltaGenerator, shape: ModelShape, targets: str | tuple[str, ...], rank: int
) -> tuple[tuple[str, int], ...]:
    """A rank for each family of the targeted modules, where it differs from the sidebar's."""
    names = target_names(shape.parts, targets) if isinstance(targets, str) else targets
    present = {part.family for part in shape.parts if part.name in names}
    allowed = {str(each) for each in range(1, MOST_RANK + 1)}
    ranks: dict[str, int] = {}
    place.caption(f"A rank of its own for each family, empty for the sidebar's {rank:,}:")
    for (family, word), column in zip(RANKED.items(), place.columns(len(RANKED)), strict=True):
        key = f"model_rank_{family}"
        check_link(key, f"Rank, {word}", allowed, "empty", f"a whole number from 1 to {MOST_RANK:,}")
        absent = family not in present
        chosen = column.number_input(
            word, 1, MOST_RANK, None, key=key, bind="query-params", placeholder=str(rank),
            disabled=absent, help="None of the target modules is in this family." if absent else None,
        )  # fmt: skip
        if chosen is not None and chosen != rank and not absent:
            ranks[family] = chosen
    return tuple(pair for pair in family_ranks(shape.parts, ranks) if pair[0] in names)


def _draw_switches(head: bool, by_name: bool) -> tuple[bool, bool, bool, bool]:
    """Train the head in full, adapt it, DoRA, biases; where one cannot apply it is disabled and says why."""
    reason = "" if head else "This model has no head. "
    train = toggle("Train the head", "model_train_head", "The head itself, in full.", reason=reason)
    if train:
        reason = "The head is trained in full. "
    elif by_name:
        reason = "Modules are chosen by name. "
    adapt = toggle("Adapt the head", "model_adapt_head", "The head gets an adapter too.", reason=reason)
    words = "Trains a magnitude for each output as well (Liu et al., 2024)."
    dora = toggle("DoRA", "model_dora", words)
    biases = toggle("Train biases", "model_biases", "Biases of the adapted matrices, where they have any.")
    return train, adapt, dora, biases

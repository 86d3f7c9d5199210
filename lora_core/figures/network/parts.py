"""What stands round the curves: what is written, the modules as a drawing, learnt against forgotten.

The browser draws them and moves them with the scrub bar of the curves, so each holds every look of a run.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_core.figures import palette
from lora_core.formatting import percent_text
from lora_core.network.data import CopyTask, task_of
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.run import NetworkLane, NetworkRun
from lora_core.network.shape import MODULES, Network, path_of
from lora_core.network.writing import questions_shown


@dataclass(frozen=True)
class Column:
    """Words of one writer, by look, in its colour; ``scored``: compared with the right ones."""

    name: str
    color: str
    words: tuple[tuple[str, ...], ...]
    scored: bool = False


@dataclass(frozen=True)
class WordsInfo:
    """What is written side by side; ``right`` are the right answers, where there are any."""

    columns: tuple[Column, ...]
    right: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class ModulesInfo:
    """The 13 modules: ``ranks`` of those that have an adapter, changes (looks, 13) of either lane."""

    experiment: NetworkExperiment
    ranks: dict[str, int]
    lora: np.ndarray
    full: np.ndarray


@dataclass(frozen=True, eq=False)
class PlaneInfo:
    """Held-out losses, new across and old up, (looks, 2) of either lane."""

    new: str
    old: str
    lora: np.ndarray
    full: np.ndarray


def words_info(run: NetworkRun) -> WordsInfo:
    """Base, LoRA and full fine-tuning; of the copier the questions, which the base repeats."""
    e, written = run.experiment, run.words
    task = task_of(e.network, e.task)
    if not isinstance(task, CopyTask):
        return WordsInfo(
            (
                Column("Before", palette.BASE, (written.base,)),
                Column("LoRA", palette.LORA, written.lora),
                Column("Full", palette.FULL, written.full),
            ),
            None,
        )
    _, asked, right = questions_shown(e.seed, task)
    return WordsInfo(
        (
            Column("Asked", palette.BASE, (tuple(asked),)),
            Column("LoRA", palette.LORA, written.lora, scored=True),
            Column("Full", palette.FULL, written.full, scored=True),
        ),
        tuple(right),
    )


def words_drawing(info: WordsInfo) -> dict[str, Any]:
    """The words as the browser takes them."""
    columns = [
        {"name": each.name, "color": palette.as_text(each.color), "words": each.words, "scored": each.scored}
        for each in info.columns
    ]
    return {"columns": columns, "right": info.right}


def words_alt(info: WordsInfo) -> str:
    """The words at the end, for those who cannot see them."""
    lists = [f"{column.name}: {', '.join(column.words[-1])}." for column in info.columns]
    return "What it writes. " + " ".join(lists)


def modules_info(run: NetworkRun) -> ModulesInfo:
    """Where the adapters sit and how far each module has changed."""
    return ModulesInfo(run.experiment, run.experiment.module_ranks(), run.lora.change, run.full.change)


def modules_drawing(info: ModulesInfo) -> dict[str, Any]:
    """The modules as the browser takes them."""
    sizes = info.experiment.shape.modules()
    modules = []
    for module in MODULES:
        (inputs, outputs), rank = sizes[path_of(module)], info.ranks.get(module, 0)
        block, _, part = module.rpartition(".")
        modules.append(
            {
                "name": module,
                "label": part,
                "title": f"{part} of block {block}" if block else part,
                "rank": rank,
                "trained": f"{rank * (inputs + outputs):,}",
            }
        )
    most = max([float(lane[-1].max()) for lane in (info.lora, info.full) if len(lane)], default=0.0)
    changes = {"lora": _rounded(info.lora), "full": _rounded(info.full)}
    return {"modules": modules, "most": round(most, 5), "changes": changes}


def modules_alt(info: ModulesInfo) -> str:
    """The drawing in words: how far LoRA and full fine-tuning have changed each module in the end."""
    if not len(info.lora) or not len(info.full):
        return "The network, module by module."
    rows = zip(MODULES, info.lora[-1], info.full[-1], strict=True)
    words = (f"{module} {percent_text(float(a))} and {percent_text(float(b))}" for module, a, b in rows)
    return "How far LoRA and full fine-tuning have changed each module: " + ", ".join(words) + "."


def plane_info(run: NetworkRun) -> PlaneInfo:
    """Both paths through the plane of what is learnt and what is forgotten."""
    if run.experiment.network is Network.WORDS:
        new, old = f"error on {run.experiment.language.capitalize()} names", "error on English words"
    else:
        new, old = f"error on {run.experiment.task}", "error on repeating"

    def path(lane: NetworkLane) -> np.ndarray:
        return np.stack([lane.test_loss, lane.old_loss], axis=1)

    return PlaneInfo(new, old, path(run.lora), path(run.full))


def plane_drawing(info: PlaneInfo) -> dict[str, Any]:
    """The plane as the browser takes it; both axes read the lower the better."""
    points = np.concatenate([info.lora, info.full])
    (across, up) = (_axis(points[:, i]) for i in (0, 1))
    paths = [
        {"color": palette.LORA, "round": True, "points": _rounded(info.lora)},
        {"color": palette.FULL, "round": False, "points": _rounded(info.full)},
    ]
    axes = {"x": {**across, "title": f"{info.new} →"}, "y": {**up, "title": f"{info.old} →"}}
    return {"paths": paths, "axes": axes}


def plane_alt(info: PlaneInfo) -> str:
    """Where both paths end."""
    ends = [f"{name} ends at {lane[-1][0]:.3g} and {lane[-1][1]:.3g}"
            for name, lane in (("LoRA", info.lora), ("full fine-tuning", info.full))]  # fmt: skip
    return f"{info.new} across, {info.old} up, both on new data: {', '.join(ends)}."


def _axis(values: np.ndarray) -> dict[str, Any]:
    """A range with a margin round values, and some four round ticks in it."""
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.5
    low, high = max(0.0, low - margin), high + margin
    rough = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough)
    ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return {"range": [round(low, 4), round(high, 4)], "ticks": [float(f"{tick:.4g}") for tick in ticks]}


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.4g}") for value in row] for row in values]

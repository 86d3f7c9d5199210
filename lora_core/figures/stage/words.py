"""What does a scene of the small network show? What it writes and its curves; before the reveal the base.

With a run beside it two adapters are compared, else LoRA with full fine-tuning.
"""

from dataclasses import replace

from lora_core.figures import palette
from lora_core.figures.network.curves import Curve, CurvesInfo, curves_info
from lora_core.figures.network.parts import Column, WordsInfo, words_info
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.run import EVERY, NetworkLane, NetworkRun
from lora_core.network.shape import MLP


def adapter_name(experiment: NetworkExperiment) -> str:
    """Where an adapter sits: LoRA in q, k."""
    parts = tuple(dict.fromkeys(module.rpartition(".")[2] for module in experiment.module_ranks()))
    return "LoRA in the MLP" if parts == MLP else f"LoRA in {', '.join(parts)}"


def scene_words(run: NetworkRun, beside: NetworkRun | None, *, revealed: bool) -> WordsInfo:
    """Columns of what is written, at each look after the reveal."""
    info = words_info(run)
    first, lora, _ = info.columns
    if not revealed:
        right = () if info.right is None else (Column("Wanted", palette.BASE, (info.right,)),)
        return WordsInfo((first, *right), info.right)
    if beside is None:
        return info
    ours = replace(lora, name=adapter_name(run.experiment))
    other = words_info(beside).columns[1]
    return WordsInfo(
        (first, ours, replace(other, name=adapter_name(beside.experiment), color=palette.GHOST)), info.right
    )


def scene_curves(run: NetworkRun, beside: NetworkRun | None, *, revealed: bool) -> CurvesInfo:
    """Curves of both, up to the first look before the reveal."""
    info = curves_info(run, EVERY, None if beside is None else _ghost(beside))
    lora, full, *others = info.curves
    if beside is not None:
        lora, full = replace(lora, label=adapter_name(run.experiment)), others[0]
    shown: tuple[Curve, ...] = (lora, full)
    if not revealed:
        shown = tuple(replace(curve, values=curve.values[:1], diverged_at=None) for curve in shown)
    return replace(info, curves=shown)


def _ghost(beside: NetworkRun) -> tuple[str, NetworkLane]:
    return adapter_name(beside.experiment), beside.lora

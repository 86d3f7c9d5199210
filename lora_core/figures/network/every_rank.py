"""All that a rank moves on the page of the small network, at every rank that the slider offers.

A view in the browser only picks: each rank's drawings are those that a run of this rank gives.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lora_core.figures import palette
from lora_core.figures.network import curves, parts
from lora_core.findings.network import finding
from lora_core.formatting import loss_text
from lora_core.network.experiment import NetworkExperiment
from lora_core.network.run import EVERY, NetworkLane, NetworkRun
from lora_core.network.shape import Network


@dataclass(frozen=True, eq=False)
class EveryRankInfo:
    """``ends`` (ranks,) are the last held-out values as text, None where a rank is not trained yet.

    ``runs`` (ranks,) are the runs themselves once all are trained, each beside the same full fine-tuning.
    """

    experiment: NetworkExperiment
    ranks: tuple[int, ...]
    ends: tuple[str | None, ...]
    runs: tuple[NetworkRun, ...] = ()


def every_rank_info(
    experiment: NetworkExperiment,
    ranks: Sequence[int],
    lanes: Sequence[NetworkLane | None],
    full: NetworkLane | None,
) -> EveryRankInfo:
    """Gather the lanes (ranks,) that are trained; ``full`` is None until it is."""
    known = [lane for lane in lanes if lane is not None]
    runs: tuple[NetworkRun, ...] = ()
    if full is not None and len(known) == len(ranks):
        runs = tuple(
            NetworkRun(replace(experiment, rank=rank), lane, full)
            for rank, lane in zip(ranks, known, strict=True)
        )
    ends = tuple(None if lane is None else _end(experiment, lane) for lane in lanes)
    return EveryRankInfo(experiment, tuple(ranks), ends, runs)


def every_rank_drawing(info: EveryRankInfo) -> dict[str, Any]:
    """The control's numbers and, once all ranks are trained, all that follows it, by rank."""
    return {
        "experiment": hashlib.sha256(repr(replace(info.experiment, rank=1)).encode()).hexdigest()[:16],
        "ranks": list(info.ranks),
        "ends": list(info.ends),
        "floors": None,  # none is known
        "trained": _trained(info.runs) if info.runs else None,
        "colors": {"lora": palette.LORA, "on-lora": palette.PAGE},
        "dark": palette.DARK,
    }


def _end(experiment: NetworkExperiment, lane: NetworkLane) -> str:
    if lane.diverged_at is not None:
        return "–"
    if experiment.network is Network.COPIER:
        return f"{100 * lane.accuracy[-1]:.0f} %"
    return loss_text(float(lane.test_loss[-1]))


def _trained(runs: Sequence[NetworkRun]) -> dict[str, Any]:
    found = [finding(run) for run in runs]
    return {
        "curves": [_curve(run) for run in runs],
        "tests": [None] * len(runs),  # the curves are held out themselves
        "titles": [each.headline for each in found],
        "details": [each.beside for each in found],
        "words": [parts.words_drawing(parts.words_info(run)) for run in runs],
        "modules": [parts.modules_drawing(parts.modules_info(run)) for run in runs],
        "plane": [parts.plane_drawing(parts.plane_info(run)) for run in runs],
    }


def _curve(run: NetworkRun) -> np.ndarray:
    curve: np.ndarray = curves.curves_info(run, EVERY).curves[0].values
    return curve

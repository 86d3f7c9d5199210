"""Stages that a speaker's notes follow, by the token in the notes' link; what the process shares of them.

The stage publishes itself at each run of its script. The notes, in a second window or on the speaker's phone,
read it once a second and leave acts, which the stage fetches. The token is in no link that the room sees.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from lora_core.talk.scenes import Talk
from pages.stage.state import Stage

MOST = 64
"""Stages followed in this process; the one that was published longest ago is dropped first."""
MOST_ACTS = 20
REMOTE = ("on", "back", "reveal", "up", "down")
"""Acts that the notes may leave."""


@dataclass
class Followed:
    """What the notes show of a stage, and the acts that they have left for it."""

    talk: Talk
    name: str
    revealed: bool
    rank: int
    step: int
    guess: float | str | None
    started: float
    """Time of the talk's start, in seconds as ``time.time``."""
    seen: float = field(default_factory=time.time)
    """Time at which the stage was last there."""
    acts: list[str] = field(default_factory=list)


_followed: OrderedDict[str, Followed] = OrderedDict()
_lock = Lock()


def publish(stage: Stage) -> None:
    """Let the notes of a stage see its state; keeps the acts that are still to be fetched."""
    with _lock:
        before = _followed.pop(stage.token, None)
        now = Followed(
            stage.talk, stage.name, stage.is_revealed, stage.experiment.rank, stage.step, stage.guess,
            stage.started, acts=[] if before is None else before.acts,
        )  # fmt: skip
        _followed[stage.token] = now
        if len(_followed) > MOST:
            _followed.popitem(last=False)


def followed(token: str) -> Followed | None:
    """The published state of a token's stage, None if there is none."""
    with _lock:
        return _followed.get(token)


def leave_act(token: str, act: str) -> None:
    """Leave an act of ``REMOTE`` for a stage; others, and those of a stage that fetches none, are dropped."""
    with _lock:
        stage = _followed.get(token)
        if stage is not None and act in REMOTE and len(stage.acts) < MOST_ACTS:
            stage.acts.append(act)


def fetch_acts(token: str) -> list[str]:
    """Take the acts that were left for a stage, and record that it is there."""
    with _lock:
        stage = _followed.get(token)
        if stage is None:
            return []
        stage.seen = time.time()
        acts, stage.acts = stage.acts, []
        return acts


def waiting_acts(token: str) -> bool:
    """Whether acts wait for a stage; records that it is there."""
    with _lock:
        stage = _followed.get(token)
        if stage is None:
            return False
        stage.seen = time.time()
        return bool(stage.acts)

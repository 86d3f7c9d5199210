"""Network experiments worth seeing, each with the sentence that says why.

``tests/test_network_presets.py`` holds each sentence against its runs, over eight seeds.
"""

from typing import NamedTuple

from lora_core.network.experiment import Language, NetworkExperiment, Rewrite, Targets
from lora_core.network.shape import Network


class NetworkPreset(NamedTuple):
    """An experiment, its title, and one sentence."""

    experiment: NetworkExperiment
    title: str
    sentence: str


_COPIER = NetworkExperiment(network=Network.COPIER, learning_rate=1e-2, full_learning_rate=4e-3, updates=150)
_QK, _MLP = "0.q:4,0.k:4,1.q:4,1.k:4", "0.up:1,0.down:1,1.up:1,1.down:1"


def usual(network: Network) -> NetworkExperiment:
    """The experiment that a network opens on: its rates and updates are the usual ones there."""
    return NetworkExperiment() if network == Network.WORDS else _COPIER


def _copier(rewrite: Rewrite, ranks: str) -> NetworkExperiment:
    return NetworkExperiment.from_dict(
        {**_COPIER.to_dict(), "rewrite": rewrite, "targets": Targets.OWN, "ranks": ranks}
    )


NETWORK_PRESETS: dict[str, NetworkPreset] = {
    "italian": NetworkPreset(
        NetworkExperiment(),
        "Teach it Italian",
        "An eighth of the numbers of full fine-tuning, and new Italian names are guessed nearly as well.",
    ),
    "finnish": NetworkPreset(
        NetworkExperiment(language=Language.FINNISH),
        "Teach it Finnish",
        "The same base, another language, and again new names are guessed nearly as well as in full.",
    ),
    "one": NetworkPreset(
        NetworkExperiment(rank=1),
        "Rank one everywhere",
        "One direction in each of twelve modules, and it is already past the table of letter pairs.",
    ),
    "attention": NetworkPreset(
        NetworkExperiment(targets=Targets.QV, rank=18, learning_rate=1e-2),
        "q and v alone",
        "As many numbers as rank 4 everywhere, and further from Italian. What an adapter sits on matters "
        "more than how many numbers it has.",
    ),
    "mlp": NetworkPreset(
        NetworkExperiment(targets=Targets.MLP, rank=2, learning_rate=1e-2),
        "The MLP alone",
        "Less than a third of the numbers of q and v at rank 18, and nearer to Italian.",
    ),
    "backwards": NetworkPreset(
        _copier(Rewrite.BACKWARDS, _QK),
        "Backwards needs q and k",
        "Rank 4 in four modules moves where it looks, and that is all the task asks.",
    ),
    "backwards-mlp": NetworkPreset(
        _copier(Rewrite.BACKWARDS, "0.up:4,0.down:4,1.up:4,1.down:4"),
        "Backwards without attention",
        "The MLP gets more than twice the numbers and stays at guessing.",
    ),
    "next": NetworkPreset(
        _copier(Rewrite.NEXT_LETTER, _MLP),
        "The next letter needs the MLP",
        "Rank 1 in four modules renames every letter.",
    ),
    "next-qk": NetworkPreset(
        _copier(Rewrite.NEXT_LETTER, "0.q:16,0.k:16,1.q:16,1.k:16"),
        "The next letter without the MLP",
        "There q and k get six times the numbers, but looking elsewhere renames nothing.",
    ),
}
"""``italian`` is what the page opens on."""

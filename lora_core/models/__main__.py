"""Count a model from a terminal: what an adapter trains, what training needs, whether it fits on a card.

python -m lora_core.models CONFIG.json --rank 16 --targets q_proj,v_proj --batch 4 --length 4096 --card 80
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lora_core.formatting import bytes_text, count_text, percent_text
from lora_core.models.config import parse
from lora_core.models.memory import OPTIMIZERS, PRECISIONS, full_memory
from lora_core.models.peak import (
    ATTENTION,
    COMPUTING,
    LOSSES,
    Peak,
    Training,
    fits,
    longest,
    most_tokens,
    predict,
)
from lora_core.models.shape import ModelShape
from lora_core.models.targets import TARGET_PRESETS, Adapter


def main(arguments: list[str] | None = None) -> int:
    """Print what was counted; 2 and one sentence where it cannot be."""
    options = _parser().parse_args(arguments)
    try:
        found = count(options)
    except (ValueError, OSError) as error:
        words = f"{options.config}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        print(words, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1) if options.json else _words(found))
    return 0


def count(options: argparse.Namespace) -> dict[str, Any]:
    """The numbers for JSON: `total`, `trainable`, `peak_bytes`, `moment`, `parts`, `verdict` and more.

    What is not predicted for a kind of model is null. Raises ValueError in one sentence.
    """
    config = parse(Path(options.config).read_text(encoding="utf-8"))
    shape = ModelShape.from_config(config, options.head)
    adapter = None if options.full else _adapter(options)
    training = Training(
        options.batch, options.length, options.checkpointing, options.attention, options.computing,
        options.loss, options.precision, options.optimizer, not options.unprepared, not options.single,
    )  # fmt: skip
    counted = None if adapter is None else shape.count(adapter)
    peak = predict(shape, adapter, training)
    most = most_tokens(shape)
    static = peak.static if peak else full_memory(shape) if adapter is None else None
    return {
        "model_type": shape.model_type,
        "class": shape.class_name,
        "total": shape.total(),
        "active": shape.active(),
        "trainable": shape.total() if counted is None else counted.trainable,
        "peak_bytes": peak.total if peak else None,
        "moment": peak.moment if peak else None,
        "length": min(options.length, most) if most else options.length,
        "parts": _parts(peak, static),
        "card": options.card,
        "verdict": fits(peak.total, options.card) if peak and options.card else None,
        "longest": longest(shape, adapter, training, options.card) if peak and options.card else None,
        "remarks": list(shape.remarks),
    }


def _parts(peak: Peak | None, static: Any) -> dict[str, int]:
    """The peak in parts, which add up to it; without one what is held throughout, as far as it is known."""
    if static is None:
        return {}
    found = {"frozen": static.frozen, "trained": static.trained, "optimizer": static.optimizer}
    return found | ({"kept": peak.kept, "above": peak.above} if peak else {"gradients": static.gradients})


def _adapter(options: argparse.Namespace) -> Adapter:
    names = tuple(name for name in options.targets.split(",") if name)
    preset = options.targets if options.targets in TARGET_PRESETS else names
    return Adapter(options.rank, preset, float(2 * options.rank), text_only=options.text)


def _words(found: dict[str, Any]) -> str:
    share = found["trainable"] / found["total"]
    lines = [f"{found['class']}: trains {found['trainable']:,} of {found['total']:,} ({percent_text(share)})"]
    if found["active"] < found["total"]:
        lines.append(f"{count_text(found['active'])} of them are active for a token")
    if found["peak_bytes"] is None:
        lines.append("The peak of memory is not predicted for this kind of model.")
    else:
        at = f"at {found['moment']}, of {found['length']:,} tokens a sequence"
        lines.append(f"Peak {bytes_text(found['peak_bytes'])}, {at}")
    if found["verdict"]:
        words = {"fits": "fits", "tight": "is tight", "no": "does not fit"}[found["verdict"]]
        lines.append(f"It {words} on {found['card']:g} GB; longest there: {found['longest']:,} tokens")
    return "\n".join([*lines, *found["remarks"]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lora_core.models", description=__doc__.splitlines()[0])
    parser.add_argument("config", metavar="CONFIG.json", help="the config.json of any model of transformers")
    parser.add_argument("--head", help="lm, classification, none, ...; without it the file's class decides")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument(
        "--targets", default="qv", help=f"{', '.join(TARGET_PRESETS)}, or names apart by commas"
    )
    parser.add_argument(
        "--text", action="store_true", help="adapt the text model alone, of one that sees too"
    )
    parser.add_argument("--full", action="store_true", help="full fine-tuning instead of an adapter")
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16", help="of the frozen weights")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument(
        "--length", type=int, default=2048, help="the longest sequence after padding, in tokens"
    )
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--attention", choices=ATTENTION, default="flash")
    parser.add_argument("--computing", choices=COMPUTING, default="fp32", help="of the adapters")
    parser.add_argument("--loss", choices=LOSSES, default="whole")
    parser.add_argument(
        "--unprepared", action="store_true", help="quantised weights without prepare_model_for_kbit_training"
    )
    parser.add_argument("--single", action="store_true", help="NF4 without double quantisation")
    parser.add_argument("--card", type=float, help="memory of the card in GB")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

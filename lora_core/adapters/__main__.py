"""``python -m lora_core.adapters PATH``: what is in a LoRA adapter, and a smaller one of it.

PATH is a folder with adapter_config.json and adapter_model.safetensors, a zip of it, or a .safetensors file
of PEFT, kohya, diffusers or cloneofsimo. What is read is never written to.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from tqdm import tqdm

from lora_core.adapters.file import AdapterFile, open_adapter
from lora_core.adapters.source import CONFIG, find_on_disk
from lora_core.adapters.words import printable
from lora_core.formatting import bytes_text, loss_text, percent_text

if TYPE_CHECKING:
    from lora_core.adapters.cutting import Cut
    from lora_core.adapters.summary import Summary

_CUTS = ("rank", "energy", "megabytes")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        # Of an option that says itself what is wrong, argparse would say once more which one it is.
        own = message.partition(": ")
        said = own[2] if own[0].startswith("argument --") and " is '" in own[2] else message
        _say(said, sys.stderr)
        self.exit(2)


def _parser() -> _Parser:
    parser = _Parser(prog="python -m lora_core.adapters", description=__doc__.partition("\n")[0])
    parser.add_argument("path", metavar="PATH", help="a folder, a zip or a .safetensors file")
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--rank", type=_whole, metavar="N", help="cut every module to this rank")
    wanted.add_argument(
        "--energy", type=_share, metavar="SHARE", help="keep this share of each change, as 0.95"
    )
    wanted.add_argument("--megabytes", type=_size, metavar="MB", help="the best file of at most this size")
    parser.add_argument("--padded", action="store_true", help="one rank for all, padded with zeros")
    parser.add_argument("--dtype", metavar="NAME", help="F32, F16 or BF16; that of the file by default")
    parser.add_argument(
        "--out", type=_folder, metavar="FOLDER", help="write the cut adapter into this folder"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def _whole(text: str) -> int:
    with suppress(ValueError):
        if 1 <= int(text) <= 1024:
            return int(text)
    raise argparse.ArgumentTypeError(f"rank is {text!r}: it must be a whole number from 1 to 1,024.")


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"energy is {text!r}: it must be a share above 0, at most 1, as 0.95.")


def _size(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) < 1e9:
            return float(text)
    raise argparse.ArgumentTypeError(f"megabytes is {text!r}: it must be a number above 0, below 1e9.")


def _folder(text: str) -> Path:
    if text.strip() and "\0" not in text:
        return Path(text)
    raise argparse.ArgumentTypeError(f"out is {text!r}: it must be the path of a folder, . for this one.")


def _say(text: str, stream: TextIO) -> None:
    """Print what any terminal can show: a letter that it lacks, or that would steer it, becomes a `?`."""
    encoding = stream.encoding or "utf-8"
    print(printable(text).encode(encoding, "replace").decode(encoding), file=stream, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 2 and one sentence on standard error if something is wrong."""
    options = _parser().parse_args(arguments)
    try:
        _say(_run(options), sys.stdout)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        said = str(error) if isinstance(error, ValueError) else _said(error)
        _say(" ".join(said.split()), sys.stderr)
        return 2
    return 0


def _said(error: OSError) -> str:
    """What the system said, without the number of the error."""
    where = f"{error.filename}: " if error.filename else "The output cannot be written: "
    return f"{where}{error.strerror or type(error).__name__}."


def _run(options: argparse.Namespace) -> str:
    """Open, measure, cut, write; what is printed."""
    file = open_adapter(find_on_disk(options.path))
    if options.out is not None:
        _check_out(options.out, file)
    from lora_core.adapters.spectra import measure
    from lora_core.adapters.summary import Summary, as_dict

    spectra = tuple(_shown(measure(file.source, file.modules), len(file.modules), "measured"))
    summary = Summary(file, spectra)
    found = _cut(options, summary)
    written = [] if options.out is None or found is None else _write(options.out, found)
    if options.json:
        cuts = None if found is None else _cut_as_dict(found)
        return json.dumps(as_dict(summary) | {"cut": cuts, "written": written})
    return "\n".join(_report(summary, found, written))


def _shown(steps: Iterator[Any], total: int, word: str) -> Iterable[Any]:
    return tqdm(steps, word, total, unit="module", leave=False, disable=None, delay=0.5)


def _cut(options: argparse.Namespace, summary: "Summary") -> "Cut | None":
    """The cut that the options ask for; with --out alone the whole adapter, its scaling baked in."""
    from lora_core.adapters import cutting
    from lora_core.adapters.writing import must_pad

    if options.out is None and all(getattr(options, name) is None for name in _CUTS):
        if options.padded or options.dtype is not None:
            raise ValueError(
                "--padded and --dtype say how a cut is written: give --rank, --energy, --megabytes or --out."
            )
        return None
    file, spectra = summary.file, summary.spectra
    padded = options.padded or must_pad(file)
    if options.rank is not None:
        ranks = cutting.one_rank(file, options.rank)
    elif options.energy is not None:
        ranks = cutting.ranks_for_energy(spectra, options.energy)
    elif options.megabytes is not None:
        ranks = cutting.ranks_for_bytes(file, spectra, options.megabytes * 1e6, options.dtype, padded)
    else:
        ranks = tuple(module.largest_rank for module in file.modules)
    return cutting.cut(file, spectra, ranks, options.dtype, padded)


def _check_out(folder: Path, file: AdapterFile) -> None:
    """Nothing that is there is overwritten, least of all what is read."""
    from lora_core.adapters.writing import weights_name

    if not file.scale_known:
        raise ValueError(f"{CONFIG} is missing: without it the scaling is not known, and nothing is written.")
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"{folder} is no folder: --out must name one, or one that is not there yet.")
    name = weights_name(file)
    for each in (name, f"{name}.part", CONFIG):
        # Also a link that leads nowhere: it would be written through.
        if os.path.lexists(folder / each):
            raise ValueError(f"{folder / each} is there already: give --out a folder without an adapter.")


def _write(folder: Path, cut: "Cut") -> list[str]:
    """Write the adapter under a name of its own first, so that a half-written one is none."""
    from lora_core.adapters.writing import files_of, write_file

    folder.mkdir(parents=True, exist_ok=True)
    name, config = files_of(cut.plan)
    part, ours = folder / f"{name}.part", []
    try:
        with part.open("xb") as stream:
            ours.append(part)
            for _ in _shown(write_file(cut.plan, stream), len(cut.ranks), "written"):
                pass
        if config is not None:
            with (folder / CONFIG).open("xb") as beside:
                ours.append(folder / CONFIG)
                beside.write(config)
        part.rename(folder / name)
    except BaseException:
        # Only what was written here goes.
        for each in ours:
            each.unlink(missing_ok=True)
        raise
    return [str(folder / name), *([] if config is None else [str(folder / CONFIG)])]


def _cut_as_dict(cut: "Cut") -> dict[str, Any]:
    return {
        "ranks": cut.ranks, "stored": cut.plan.stored, "kept": cut.kept, "error": cut.error,
        "energy": cut.energy, "total_error": cut.total_error, "rounding": cut.rounding,
        "total_rounding": cut.total_rounding, "dtype": cut.plan.dtype, "bytes": cut.bytes,
    }  # fmt: skip


_COLUMNS = (
    ("module", "module"), ("rank", "rank"), ("scaling", "scaling"), ("norm", "norm"), ("first", "first"),
    ("effective", "eff σ"), ("effective_energy", "eff σ²"), ("rank_90", "90 %"), ("rank_95", "95 %"),
    ("rank_99", "99 %"),
)  # fmt: skip


def _report(summary: "Summary", cut: "Cut | None", written: list[str]) -> list[str]:
    """The lines of the terminal: sentences, a table of the modules, what was cut and written."""
    from lora_core.adapters.summary import composition, headline, remarks, row_of, scaling_words

    file = summary.file
    lines = [headline(summary), composition(file)]
    lines += [f"Names of {file.family}, scaling {scaling_words(file)}.", *remarks(summary), ""]
    rows = [row_of(*pair) for pair in zip(file.modules, summary.spectra, strict=True)]
    table = [[_cell(row[key]) for key, _ in _COLUMNS] for row in rows]
    titles = [title for _, title in _COLUMNS]
    if cut is not None:
        titles += ["cut to", "kept"]
        for row, rank, kept in zip(table, cut.ranks, cut.kept, strict=True):
            row += [str(rank), percent_text(kept)]
    lines += _aligned([titles, *table])
    lines += ["", _LEGEND]
    if cut is not None:
        lines.append(_cut_words(cut))
    return lines + [f"Written: {path}" for path in written]


_LEGEND = (
    "first: energy in the first direction. eff σ, eff σ²: effective rank, exp of the entropy of "
    "sigma / sum sigma and of sigma^2 / sum sigma^2. 90, 95, 99 %: the rank that keeps this share of the "
    "change's energy."
)


def _cut_words(cut: "Cut") -> str:
    from lora_core.adapters.cutting import rounding_words

    least, most = min(cut.ranks), max(cut.ranks)
    ranks = f"rank {most}" if least == most else f"ranks {least} to {most}"
    if len(set(cut.plan.stored)) == 1 and least != most:
        ranks += f", stored as rank {cut.plan.stored[0]}"
    return (
        f"Cut to {ranks}: {percent_text(cut.energy)} of the energy kept, relative error "
        f"{loss_text(cut.total_error)}, {bytes_text(cut.bytes)}. {rounding_words(cut)} "
        "Energy kept is not loss kept."
    )


def _cell(value: object) -> str:
    if value is None:
        return "not finite"
    return (
        printable(value)
        if isinstance(value, str)
        else f"{value:.3g}"
        if isinstance(value, float)
        else str(value)
    )


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]


def command() -> int:
    """`main` for a shell: 1, and not a word, when the reader of a pipe has gone; 2 when a disk is full."""
    try:
        code = main()
        sys.stdout.flush()
    except OSError as error:
        code = 1 if isinstance(error, BrokenPipeError) else 2
        # Python flushes once more at its end, and must then find an open file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    sys.exit(command())

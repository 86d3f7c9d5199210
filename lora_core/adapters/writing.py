"""How is an adapter written so that every reader gives the same change? Its scaling goes into its factors.

Each module's factors become U sqrt(S) and sqrt(S) Vh of its truncated SVD, so that B A alone is the change:
alpha = r, and equal ``rank_pattern`` and ``alpha_pattern`` where ranks differ. The square root shares the
singular values between both factors: in float16 U S beside Vh loses a tenth of a small change. A file in
PEFT's names becomes one for PEFT; any other keeps its own names, as only the base model knows which layer is
meant.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from lora_core.adapters.config import CARRIED, pattern_for
from lora_core.adapters.file import FLOATS, AdapterFile
from lora_core.adapters.header import DTYPE_BYTES, Entry
from lora_core.adapters.names import PREFIX, Family, Part, saved_key
from lora_core.adapters.source import WEIGHTS
from lora_core.adapters.words import named

PRECISIONS = tuple(FLOATS)
"""Dtypes that factors can be written in, by their names in the format."""

_CHUNK = 8_000_000


@dataclass(frozen=True)
class Tensor:
    """A tensor to be written: key, dtype, shape, and the module's part or the entry that it comes from."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    module: int | None = None
    part: Part | None = None
    entry: Entry | None = None

    @property
    def bytes(self) -> int:
        """Length in bytes."""
        return math.prod(self.shape) * DTYPE_BYTES[self.dtype]


@dataclass(frozen=True)
class Plan:
    """Everything about a file but its numbers: a rank a module, what is stored of it, tensors in their order.

    `ranks` are the directions kept, `stored` the ranks in the file; they differ where a file is padded.
    Factors are written in `dtype`.
    """

    file: AdapterFile
    ranks: tuple[int, ...]
    stored: tuple[int, ...]
    dtype: str
    tensors: tuple[Tensor, ...]
    header: bytes

    @property
    def bytes(self) -> int:
        """Length of the whole file in bytes."""
        return len(self.header) + sum(tensor.bytes for tensor in self.tensors)


def plan_file(
    file: AdapterFile, ranks: Sequence[int], dtype: str | None = None, padded: bool = False
) -> Plan:
    """The file that keeps `ranks[i]` directions of module i, its factors in `dtype` (the file's own if None).

    A padded one stores the largest of the ranks for every module.

    :raises ValueError: an unknown dtype, a rank below 1 or above the module's, two tensors of one key.
    """
    dtype = file.dtype if dtype is None else dtype
    if dtype not in FLOATS:
        raise ValueError(f"dtype is {named(dtype)}: it must be one of {', '.join(FLOATS)}.")
    for module, rank in zip(file.modules, ranks, strict=True):
        if not 1 <= rank <= module.largest_rank:
            raise ValueError(
                f"rank of {named(module.path)} is {rank}: it must be from 1 to {module.largest_rank}."
            )
    stored = (max(ranks),) * len(ranks) if padded else tuple(ranks)
    tensors = [*_factors(file, stored, dtype), *_beside(file)]
    _check_keys(tensors)
    # Aligned, as the larger a number is the sooner it comes; factors of one module stay together.
    ordered = tuple(sorted(tensors, key=lambda tensor: -DTYPE_BYTES[tensor.dtype]))
    return Plan(file, tuple(ranks), stored, dtype, ordered, _header(ordered, _metadata(file, stored)))


def write_file(plan: Plan, stream: IO[bytes]) -> Iterator[int]:
    """Write the planned file; yields the number of modules done. One module is in memory at a time.

    :raises ValueError: factors that are not finite, or that the dtype cannot hold.
    """
    stream.write(plan.header)
    done: tuple[int, dict[Part, bytes]] = (-1, {})
    count = 0
    for tensor in plan.tensors:
        if tensor.module is None:
            _copy(plan.file, tensor, stream)
        elif tensor.part in (Part.DOWN, Part.UP):
            if done[0] != tensor.module:
                done = (tensor.module, cut_factors(plan, tensor.module))
                count += 1
                yield count
            stream.write(done[1][tensor.part])
        else:
            stream.write(_small(plan, tensor))


def config_of(plan: Plan) -> dict[str, Any] | None:
    """The adapter_config.json that belongs to a planned file; None for a file that is not in PEFT's names.

    Few keys: those that older versions of PEFT do not know make them fail.
    """
    file = plan.file
    if not _is_for_peft(file):
        return None
    given = {} if file.config is None else file.config.all
    rank = max(plan.stored)
    pattern = pattern_for(
        {module.path: stored for module, stored in zip(file.modules, plan.stored, strict=True)}, rank
    )
    targets = given.get("target_modules") or [module.path for module in file.modules]
    return {
        "peft_type": "LORA",
        **{key: given[key] for key in CARRIED if given.get(key) not in (None, False, [], {})},
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "target_modules": targets,
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
    }


def must_pad(file: AdapterFile) -> bool:
    """Whether only one rank for all is read right: diffusers' names have no place for a scaling a module."""
    return file.family is Family.DIFFUSERS and file.config is None


def weights_name(file: AdapterFile) -> str:
    """The name of the file of weights: PEFT's own, or that of the file that was opened."""
    return WEIGHTS if _is_for_peft(file) else file.source.name


def files_of(plan: Plan) -> tuple[str, bytes | None]:
    """The name of the weights file and the content of the config beside it, if it has one."""
    config = config_of(plan)
    return weights_name(plan.file), None if config is None else json.dumps(config, indent=2).encode()


def _check_keys(tensors: Sequence[Tensor]) -> None:
    """Two tensors of one key would be one entry in the header and twice their bytes in the file."""
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.key in seen:
            raise ValueError(
                f"Two tensors of the file would be written as {named(tensor.key)}: one must be left out."
            )
        seen.add(tensor.key)


def _is_for_peft(file: AdapterFile) -> bool:
    return file.family is Family.PEFT or file.config is not None


def _key(file: AdapterFile, key: str) -> str:
    """The key in the file that is written: PEFT finds a factor under its own prefix alone."""
    key = saved_key(key)
    bare = _is_for_peft(file) and file.family is not Family.PEFT and not key.startswith(PREFIX)
    return PREFIX + key if bare else key


def _factors(file: AdapterFile, stored: Sequence[int], dtype: str) -> Iterator[Tensor]:
    for index, (module, rank) in enumerate(zip(file.modules, stored, strict=True)):
        down = (rank, *module.down.shape[1:])
        up = (module.out_features, rank, *module.up.shape[2:])
        yield Tensor(_key(file, module.down.key), dtype, down, index, Part.DOWN)
        yield Tensor(_key(file, module.up.key), dtype, up, index, Part.UP)
        if file.family is Family.KOHYA or (Part.ALPHA in module.parts and not _is_for_peft(file)):
            alpha = module.parts.get(Part.ALPHA)
            yield Tensor(f"{module.path}.alpha" if alpha is None else alpha.key, "F32", (), index, Part.ALPHA)
        if bias := module.parts.get(Part.BIAS):
            yield Tensor(_key(file, bias.key), bias.dtype, bias.shape, index, Part.BIAS, bias)
        if magnitude := module.parts.get(Part.MAGNITUDE):
            yield Tensor(_key(file, magnitude.key), magnitude.dtype, magnitude.shape, entry=magnitude)


def _beside(file: AdapterFile) -> Iterator[Tensor]:
    own = {entry.key for module in file.modules for entry in module.parts.values()}
    for entry, _ in file.copied:
        if entry.key not in own:
            yield Tensor(_key(file, entry.key), entry.dtype, entry.shape, entry=entry)


def _metadata(file: AdapterFile, stored: Sequence[int]) -> dict[str, str]:
    """PEFT's own, or the file's with the ranks that are now in it."""
    if file.family is Family.PEFT:
        return {"format": "pt"}
    kept = {key: value for key, value in file.header.metadata.items() if key != "lora_adapter_metadata"}
    for module, rank in zip(file.modules, stored, strict=True):
        if file.family is Family.CLONEOFSIMO:
            kept[f"{module.path}:rank"] = str(rank)
    for key in ("ss_network_dim", "ss_network_alpha"):
        if key in kept:
            kept[key] = str(max(stored))
    return kept


def _header(tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> bytes:
    """The length and the JSON before the tensors' bytes, padded to a multiple of eight, as is usual."""
    content: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for tensor in tensors:
        content[tensor.key] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": (at, at := at + tensor.bytes),
        }
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def cut_factors(plan: Plan, index: int) -> dict[Part, bytes]:
    """A and B of one module as bytes: sqrt(S) Vh and U sqrt(S), zeros after the directions kept.

    :raises ValueError: factors that are not finite, or that the plan's dtype cannot hold.
    """
    import torch

    from lora_core.adapters.spectra import directions_of

    module, kept, stored = plan.file.modules[index], plan.ranks[index], plan.stored[index]
    U, values, Vh = directions_of(plan.file.source, module)
    root = values[:kept].sqrt()
    found = {}
    for part, matrix, shape in (
        (Part.DOWN, root[:, None] * Vh[:kept], (stored, module.in_features)),
        (Part.UP, U[:, :kept] * root, (module.out_features, stored)),
    ):
        whole = torch.zeros(shape, dtype=torch.float64)
        whole[: matrix.shape[0], : matrix.shape[1]] = matrix
        cast = whole.to(getattr(torch, FLOATS[plan.dtype]))
        if not torch.isfinite(cast).all():
            finer = "F32" if whole.abs().max() < torch.finfo(torch.float32).max else "F64"
            raise ValueError(
                f"{named(module.path)} is too large for {plan.dtype}: it must be written in {finer}."
            )
        found[part] = cast.view(torch.uint8).numpy().tobytes()
    return found


def _small(plan: Plan, tensor: Tensor) -> bytes:
    """Alpha, which is the rank now, or the bias of B, which the baked scaling goes into as well."""
    import torch

    from lora_core.adapters.spectra import read_tensor

    assert tensor.module is not None
    if tensor.part is Part.ALPHA:
        return torch.tensor(plan.stored[tensor.module], dtype=torch.float32).numpy().tobytes()
    assert tensor.entry is not None
    bias = read_tensor(plan.file.source, tensor.entry)
    module = plan.file.modules[tensor.module]
    scaled = (bias.to(torch.float64) * module.scaling).to(bias.dtype)
    if not torch.isfinite(scaled).all():
        raise ValueError(
            f"{named(module.path)}: its bias of B, times its scaling of {module.scaling:.4g}, is not finite "
            f"in {tensor.dtype}: it cannot be written."
        )
    return scaled.contiguous().view(torch.uint8).numpy().tobytes()


def check_vectors(plan: Plan) -> None:
    """Hold the vectors beside the factors against what they become in the file.

    :raises ValueError: a bias or a magnitude that is not finite, or a bias too large once it is scaled.
    """
    import torch

    from lora_core.adapters.spectra import read_tensor

    for tensor in plan.tensors:
        if tensor.part is Part.BIAS:
            _small(plan, tensor)
    for module in plan.file.modules:
        entry = module.parts.get(Part.MAGNITUDE)
        if entry is not None and not torch.isfinite(read_tensor(plan.file.source, entry)).all():
            raise ValueError(f"{named(entry.key)} holds numbers that are not finite: it cannot be written.")


def _copy(file: AdapterFile, tensor: Tensor, stream: IO[bytes]) -> None:
    """The bytes of a tensor that goes on as it is, some megabytes at a time."""
    entry = tensor.entry
    assert entry is not None
    for start in range(entry.start, entry.stop, _CHUNK):
        stream.write(file.source.read(start, min(start + _CHUNK, entry.stop)))

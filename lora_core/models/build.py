"""The parts of a real model: transformers builds it on the meta device, where no weight is ever allocated.

Every module and every parameter is visited once, so that totals are the library's own. Layers that repeat
become one part with a count. Runs in a process of its own (worker.py), because a config.json may ask for
anything; nothing is downloaded and no code of the config's is executed.
"""

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lora_core.fields import quoted
from lora_core.models.config import check
from lora_core.models.heads import BARE, Chosen, choose, types_of
from lora_core.models.parts import Family, Kind, Part, named
from lora_core.models.roles import family_of, role_of
from lora_core.models.shape import Experts, ModelShape

OF_THE_FILE = (  # what a file says about itself and no size depends on
    "architectures", "auto_map", "quantization_config", "compression_config", "dtype", "torch_dtype",
    "_name_or_path", "transformers_version", "_attn_implementation", "attn_implementation", "name_or_path",
    "_attn_implementation_internal", "model_type", "_commit_hash", "_experts_implementation",
)  # fmt: skip
HINTS = {  # fields by which a file without a model_type is known
    ("n_embd", "n_layer"): "gpt2",
    ("d_kv", "d_ff"): "t5",
    ("type_vocab_size", "num_hidden_layers"): "bert",
    ("num_key_value_heads", "intermediate_size"): "llama",
}
SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "vocab_size",
)  # fmt: skip
PICKED = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "top_k_experts",
          "moe_k", "top_k", "moe_top_k", "num_selected_experts")  # fmt: skip


def build_shape(config: Mapping[str, object], head: str | None = None) -> ModelShape:
    """The shape of the model that a config.json describes.

    Raises ValueError, in one sentence, where transformers has no such model or cannot build it.
    """
    return shape_of(*build(config, head))


def build(config: Mapping[str, object], head: str | None = None) -> tuple[Any, Chosen, tuple[str, ...]]:
    """The model of transformers on the meta device, the class chosen, and remarks about the file.

    Raises ValueError in one sentence.
    """
    check(config)
    model_type, remarks = _type(config)
    chosen = choose(model_type, config.get("architectures"), head)
    import torch
    import transformers

    fields = {name: _decoded(value) for name, value in config.items() if name not in OF_THE_FILE}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = transformers.AutoConfig.for_model(model_type, **fields)
            check_sizes(read)
            kind = getattr(transformers, chosen.class_name)
            with torch.device("meta"):
                model = kind(_own_config(read, kind))
    except ValueError as error:
        raise ValueError(_sentence(model_type, error)) from None
    except MemoryError:
        raise ValueError(
            "config.json: too large to be built in the memory that is set aside for it"
        ) from None
    except Exception as error:  # whatever a class makes of nonsense
        raise ValueError(_sentence(model_type, error)) from None
    remarks = (*remarks, *_remarks(config, read, chosen))
    if model_type in ("t5", "mt5") and config.get("tie_word_embeddings") is False and chosen.head == "lm":
        # transformers ties the two when it builds T5, and keeps them apart once a checkpoint brings both.
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return model, chosen, remarks


def _decoded(value: object) -> object:
    """A value as transformers reads it: infinities are objects in its files, as JSON has no word for them."""
    if isinstance(value, Mapping):
        if value.keys() == {"__float__"} and value["__float__"] in ("Infinity", "-Infinity", "NaN"):
            return float(value["__float__"])
        return {key: _decoded(inner) for key, inner in value.items()}
    return [_decoded(inner) for inner in value] if isinstance(value, list) else value


def _own_config(read: Any, kind: Any) -> Any:
    """The config that a class is built from: of a larger one the text model's, as the Auto classes do."""
    inner = getattr(type(read), "sub_configs", {}).get("text_config")
    return read.get_text_config() if inner is not None and kind.config_class is inner else read


def check_sizes(config: Any) -> None:
    """ValueError where a size that the class read (its own or the file's) is not one."""
    for name, value in config.to_dict().items():
        if re.search(r"(hidden|vocab|intermediate)_size$|(layers|heads)$", name) and isinstance(value, int):
            least = 0 if "heads" in name or "layers" in name or value == 0 != config.vocab_size else 1
            if value < least and not isinstance(value, bool):
                raise ValueError(f"{name}: {value}, expected an integer from {least}")


def _type(config: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
    """The model type that transformers knows, said by the file or by its class."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    model_type, classes = config.get("model_type"), config.get("architectures")
    if model_type is None:
        name = classes[0] if isinstance(classes, list) and classes and isinstance(classes[0], str) else ""
        found = types_of(name)
        if name and len(found) == 1:
            return found[0], (f"The file has no model_type; {found[0]} is that of {name}.",)
        hint = next((kind for names, kind in HINTS.items() if all(one in config for one in names)), "")
        add = f'add "model_type": "{hint}", whose fields these are' if hint else 'add one such as "llama"'
        raise ValueError(f"model_type: missing, {add}")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING_NAMES:
        own = " and the file brings code of its own (auto_map), which is never run here"
        raise ValueError(
            f"model_type: {quoted(model_type)}, expected one of the {len(CONFIG_MAPPING_NAMES)} types that "
            f"transformers knows{own if config.get('auto_map') else ''}"
        )
    return model_type, ()


def _sentence(model_type: str, error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    said = quoted(words)[1:-1] if len(words) < 50 else words[:200].replace("`", "'")
    if re.match(r"[\w.]{1,60}: .*, expected ", words):
        return words[:300]
    return f"config.json: transformers cannot build a {model_type} of it: {said}"


def _remarks(config: Mapping[str, object], read: Any, chosen: Chosen) -> Iterator[str]:
    """What a file says about itself that a reader should know, a sentence each."""
    if config.get("auto_map"):
        yield (
            f"The file brings code of its own (auto_map), which is not run: counted is transformers' "
            f"{chosen.class_name}."
        )
    stored = config.get("quantization_config")
    if isinstance(stored, Mapping):
        method = str(stored.get("quant_method", "a method it does not name"))[:30]
        yield (
            f"Its weights are stored quantised ({method}); counted are the numbers of the model before that, "
            "and memory at the precision chosen here."
        )
    kept = config.get("dtype", config.get("torch_dtype"))
    if isinstance(kept, str):
        yield f"The file stores its weights in {kept[:20]}."
    text = config.get("text_config")
    said = {*config, *(text if isinstance(text, Mapping) else {})}
    names = (
        {read.attribute_map.get(name, name): name for name in SIZES} if hasattr(read, "attribute_map") else {}
    )
    missing = [name for name in names if name not in said and isinstance(_said(read, name), int)]
    if missing:
        values = ", ".join(f"{name} {_said(read, name):,}" for name in missing)
        yield f"Not in the file, so as transformers sets it: {values}."


def _said(config: Any, name: str) -> Any:
    """What a config says under a name; None where it says nothing, or something else for each layer."""
    try:
        return getattr(config, name, None)
    except Exception:
        return None


def shape_of(model: Any, chosen: Chosen, remarks: tuple[str, ...] = ()) -> ModelShape:
    """Measure a built model: its parts in their order, the text model in it, its experts."""
    found: dict[Part, int] = {}
    others: dict[str, None] = {}
    for part in _parts(model, others):
        found[part] = found.get(part, 0) + part.count
    parts = tuple(replace(part, count=count) for part, count in found.items())
    if not any(part.family is Family.EXPERTS for part in parts):
        plain = {Family.SHARED: Family.MLP, Family.ROUTER: Family.MLP}
        parts = tuple(replace(part, family=plain.get(part.family, part.family)) for part in parts)
    parts = named(parts)
    if not sum(part.own for part in parts):
        raise ValueError("config.json: describes a model without any numbers")
    ends = {part.path.rpartition(".")[2] for part in parts if part.adaptable}
    clash = tuple(path for path in others if path.rpartition(".")[2] in ends)
    return ModelShape(
        model.config.model_type,
        chosen.head,
        parts,
        class_name=type(model).__name__,
        heads=chosen.heads,
        task=chosen.task
        if chosen.task[-2:] != "LM" or hasattr(model, "prepare_inputs_for_generation")
        else "",
        text=_text_model(model),
        others=clash,
        experts=_experts(model, parts),
        converted=_converted(model.config.model_type),
        refused=_refused(model),
        kept_whole=tuple(sorted(getattr(model, "_keep_in_fp32_modules", None) or ())),
        facts=_facts(model.config),
        remarks=remarks,
    )


def _facts(config: Any) -> tuple[tuple[str, int], ...]:
    """Hidden size, heads and layers of the text model, as far as its config names them."""
    try:
        config = config.get_text_config()
    except Exception:
        return ()
    names = {
        "hidden": "hidden_size",
        "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads",
        "head_dim": "head_dim",
        "layers": "num_hidden_layers",
    }
    found = {word: _said(config, name) for word, name in names.items()}
    found["kv_heads"] = found["kv_heads"] or found["heads"]
    if isinstance(found["hidden"], int) and isinstance(found["heads"], int) and found["heads"]:
        found["head_dim"] = found["head_dim"] or found["hidden"] // found["heads"]
    return tuple((name, value) for name, value in found.items() if isinstance(value, int))


def star(path: str) -> str:
    """A path with `*` for the numbers of layers and experts."""
    return ".".join("*" if piece.isdigit() else re.sub(r"_\d+$", "_*", piece) if piece.startswith("expert_")
                    else piece for piece in path.split("."))  # fmt: skip


def _parts(model: Any, others: dict[str, None]) -> Iterator[Part]:
    """One part for each module that holds numbers, and for each tensor that no known kind of module holds."""
    import torch
    from transformers.pytorch_utils import Conv1D

    seen: set[int] = set()
    output = model.get_output_embeddings() if chosen_has_output(model) else None
    base = getattr(model, "base_model_prefix", "")
    has_head = bool(base) and hasattr(model, base) and isinstance(getattr(model, base), torch.nn.Module)
    classes = (torch.nn.Linear, Conv1D, torch.nn.Embedding, torch.nn.modules.conv._ConvNd)
    barred = ("out_proj", "conv1d") if model.config.model_type in MAMBA else ()
    for path, module in model.named_modules():
        last = path.rpartition(".")[2]
        transposed = "Transpose" in type(module).__name__
        known = isinstance(module, classes) and not transposed and "weight" in module._parameters
        if path and not known:
            others[star(path)] = None
        own = {name: tensor for name, tensor in module._parameters.items() if tensor is not None}
        if not own:
            continue
        head = has_head and not path.startswith(base + ".") and (output is None or module is output)
        where = star(path)
        if known or (len(own) <= 2 and "weight" in own and own["weight"].dim() == 1):
            (part,) = _module(module, where, own, seen, head=head, output=module is output, known=known)
            yield replace(part, barred=known and last in barred)
        else:
            yield from _tensors(module, where, own, seen, head=head)


MAMBA = ("falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h")
"""Types in which PEFT refuses to adapt `out_proj` (peft.tuners.tuners_utils, 0.21)."""


def chosen_has_output(model: Any) -> bool:
    """Whether transformers can say which layer is the output; some classes raise instead."""
    try:
        model.get_output_embeddings()
    except Exception:
        return False
    return True


def _module(
    module: Any, where: str, own: dict[str, Any], seen: set[int], *, head: bool, output: bool, known: bool
) -> Iterator[Part]:
    import torch

    weight = own.pop("weight")
    tied = id(weight) in seen
    bias = 0
    for tensor in own.values():
        bias += 0 if id(tensor) in seen else tensor.numel()
    seen.update(id(tensor) for tensor in (weight, *own.values()))
    kernel = groups = 1
    if not known:
        kind, rows, columns = Kind.NORM, 1, weight.numel()
    elif isinstance(module, torch.nn.Embedding):
        kind, (rows, columns) = Kind.EMBEDDING, weight.shape
    elif isinstance(module, torch.nn.Linear):
        kind, (columns, rows) = Kind.LINEAR, weight.shape
    elif isinstance(module, torch.nn.modules.conv._ConvNd):
        kind, rows, columns = Kind.CONVOLUTION, module.in_channels, module.out_channels
        kernel, groups = math.prod(module.kernel_size), module.groups
    else:
        kind, (rows, columns) = Kind.CONV1D, weight.shape
    family = Family.HEAD if output else family_of(where, kind, head=head)
    yield Part(
        where, kind, family, rows, columns, 1, bias, role_of(where) if known else "", tied, "", kernel,
        groups, output, "bias" in where,
    )  # fmt: skip


def _tensors(module: Any, where: str, own: dict[str, Any], seen: set[int], *, head: bool) -> Iterator[Part]:
    """Tensors of a module that is of no known kind, each a part of its own."""
    for name, tensor in own.items():
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        path = f"{where}.{name}" if where else name
        family = family_of(path, Kind.PARAMETER, head=head)
        if "bias" in name:
            yield Part(path, Kind.PARAMETER, family, 0, 0, 1, tensor.numel())
            continue
        kernel, rows, columns = 1, 1, tensor.numel()
        if tensor.dim() == 3 and family is Family.EXPERTS:
            kernel, columns, rows = tensor.shape
        elif tensor.dim() == 2:
            columns, rows = tensor.shape
        yield Part(
            path, Kind.PARAMETER, family, rows, columns, kernel=kernel, bias_in_name="bias" in path
        )  # fmt: skip


def _text_model(model: Any) -> str:
    """The path of the text model inside a larger one, "" where the model stands alone."""
    try:
        inner = model.config.get_text_config()
    except Exception:  # several text models, or none that is told apart
        return ""
    if inner is model.config or getattr(model.config, "is_encoder_decoder", False):
        return ""
    for path, module in model.named_modules():
        if path and getattr(module, "config", None) is inner and hasattr(module, "get_input_embeddings"):
            return star(path)
    return ""


def _experts(model: Any, parts: tuple[Part, ...]) -> Experts | None:
    """How many routed experts a layer has and a token passes; None for a dense model."""
    routed = [part for part in parts if part.family is Family.EXPERTS]
    if not routed:
        return None
    config = model.config
    try:
        config = config.get_text_config()
    except Exception:
        config = model.config
    for name in ("", "ffn_config."):
        place = getattr(config, "ffn_config", None) if name else config
        picked = [getattr(place, field, None) for field in PICKED]
        number = next((one for one in picked if isinstance(one, int) and not isinstance(one, bool)), None)
        if number:
            break
    fused = [part.kernel for part in routed if part.fused]
    total = fused[0] if fused else 0
    for field in (
        "num_local_experts",
        "num_experts",
        "n_routed_experts",
        "moe_num_experts",
        "num_routed_experts",
    ):
        value = getattr(place, field, None) or getattr(config, field, None)
        if not total and isinstance(value, int):
            total = value
    return Experts(total, number or 0)


def _refused(model: Any) -> str:
    """Why PEFT adapts nothing of this class, "" where it does."""
    tied = isinstance(model._tied_weights_keys, dict)  # PEFT then asks which weights are tied to them
    try:
        if tied and getattr(model.config, "tie_word_embeddings", None) is not False:
            model.get_input_embeddings()
    except NotImplementedError:
        return (
            f"PEFT adapts no {type(model).__name__}: transformers cannot say which are its input embeddings"
        )
    return ""


def _converted(model_type: str) -> str:
    """The family by whose rules PEFT 0.21 turns names of experts into `target_parameters`, or ""."""
    from transformers.conversion_mapping import (
        _MODEL_TO_CONVERSION_PATTERN,
        get_checkpoint_conversion_mapping,
    )

    if get_checkpoint_conversion_mapping(model_type) is None:
        return ""
    found = "mixtral" if model_type == "mixtral" else _MODEL_TO_CONVERSION_PATTERN.get(model_type, "")
    return found if found in ("mixtral", "qwen2_moe") else ""


__all__ = ["BARE", "build", "build_shape", "shape_of"]

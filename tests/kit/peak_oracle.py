"""Peak memory of one training step without a GPU: real classes on the meta device, every allocation followed.

transformers and PEFT build two layers at real widths; forward, loss and backward run under a dispatch mode
that adds the bytes of each new storage and takes them off when it dies, as torch's allocator on CUDA would
(blocks of 512 bytes aside). Attention is replaced by functions that keep what CUDA's kernels keep.
"""

import sys
import weakref
from typing import Any
from unittest.mock import patch

import peft
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


class Allocations(TorchDispatchMode):
    """Bytes alive and their greatest sum, of all storages made while the mode is on."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.add.Tensor and not torch.is_grad_enabled() and alone(args[0], args[1]):
            return args[0].add_(args[1])
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._follow(tensor.untyped_storage())
        self.peak = max(self.peak, self.live)
        return out

    def ignore(self, tensor: torch.Tensor) -> None:
        """Take a tensor for one that was there before."""
        storage = tensor.untyped_storage()
        self._known[storage._cdata] = weakref.ref(storage)

    def _follow(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        known = self._known.get(key)
        if known is not None and known() is not None:
            return
        self.live += size
        self._known[key] = weakref.ref(storage, lambda _: self._free(key, size))

    def _free(self, key: int, size: int) -> None:
        self.live -= size
        self._known.pop(key, None)


def alone(old: Any, new: Any) -> bool:
    """Whether autograd, which adds up gradients, would write into `old`: nothing else holds its storage.

    torch/csrc/autograd/input_buffer.cpp (2.13) does so, but never while a dispatch mode is on.
    """
    if not isinstance(new, torch.Tensor) or (old.shape, old.dtype) != (new.shape, new.dtype):
        return False
    return torch._C._storage_Use_Count(old.untyped_storage()._cdata) <= 2  # `old`, and the line above


class Dropout(torch.autograd.Function):
    """Dropout as CUDA does it: a mask of one byte a number is kept, and a copy made."""

    @staticmethod
    def forward(ctx: Any, tensor: Any) -> Any:
        ctx.save_for_backward(torch.empty_like(tensor, dtype=torch.bool))
        return torch.empty_like(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (_,) = ctx.saved_tensors  # a checkpoint computes again when it is asked for
        return torch.empty_like(grads[0])


def dropout(tensor: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """torch.nn.functional.dropout for CUDA's memory."""
    return Dropout.apply(tensor) if training and p > 0 else tensor


class Kernel(torch.autograd.Function):
    """Flash attention, or the efficient kernel with a mask: q, k, v, output and a sum a head are kept."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any, mask: Any) -> Any:
        out = q.new_empty(q.shape[0], q.shape[2], q.shape[1], q.shape[3]).transpose(1, 2)
        sums = q.new_empty(q.shape[:3], dtype=torch.float32)
        ctx.save_for_backward(q, k, v, out, sums, *([] if mask is None else [mask]))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        q, k, *_ = ctx.saved_tensors
        dq = q.new_empty(q.shape, dtype=torch.float32)  # the kernel's own sum, then the gradients
        dk, dv = (torch.empty_like(q) for _ in range(2))
        share = q.shape[1] // k.shape[1]
        if share > 1:
            dk, dv = (one.unflatten(1, (-1, share)).sum(2) for one in (dk, dv))
        return dq.to(q.dtype), dk, dv, None


class Softmax(torch.autograd.Function):
    """Softmax of bf16 scores in fp32 as CUDA does it: cast and softmax in one kernel, on both ways."""

    @staticmethod
    def forward(ctx: Any, scores: Any) -> Any:
        out = torch.empty_like(scores, dtype=torch.float32)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return torch.empty_like(ctx.saved_tensors[0], dtype=torch.bfloat16)


def flash(module: Any, query: Any, key: Any, value: Any, mask: Any, **more: Any) -> Any:
    """Flash attention, in the form in which transformers calls attention."""
    return Kernel.apply(query, key, value, None).transpose(1, 2), None


def masked(module: Any, query: Any, key: Any, value: Any, mask: Any, **more: Any) -> Any:
    """SDPA with a mask: keys and values once a query head, the mask kept."""
    share = query.shape[1] // key.shape[1]
    if share > 1:
        key, value = (
            one[:, :, None].expand(-1, -1, share, -1, -1).reshape(query.shape) for one in (key, value)
        )
    length = query.shape[2]
    mask = torch.empty(query.shape[0], 1, length, length, dtype=query.dtype, device=query.device)
    return Kernel.apply(query, key, value, mask).transpose(1, 2), None


def softmax(scores: Any, dim: int = -1, dtype: Any = None) -> Any:
    """torch.nn.functional.softmax for CUDA's memory."""
    return torch.softmax(scores, dim) if dtype in (None, scores.dtype) else Softmax.apply(scores)


def eager(module: Any, query: Any, key: Any, value: Any, mask: Any, **more: Any) -> Any:
    """Attention step by step, as the module's own file writes it out, with a mask."""
    mask = query.new_empty(query.shape[0], 1, query.shape[2], query.shape[2])
    own = sys.modules[type(module).__module__].eager_attention_forward
    with patch("torch.nn.functional.softmax", softmax):
        return own(module, query, key, value, mask, **more)


for _name, _function in (("oracle_kernel", flash), ("oracle_masked", masked), ("oracle_eager", eager)):
    ALL_ATTENTION_FUNCTIONS.register(_name, _function)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_name, lambda *args, **more: None)


def model_of(kind: str, fields: dict[str, Any], attention: str, head: str = "CausalLM") -> Any:
    """A model of bf16 weights on the meta device, of transformers' Auto class for `head`."""
    config = AutoConfig.for_model(kind, **fields)
    config._attn_implementation = attention
    config.use_cache = False
    auto = getattr(transformers, f"AutoModelFor{head}")
    with torch.device("meta"):
        model = auto.from_config(config, dtype=torch.bfloat16)
    return model


def inputs_of(model: Any, batch: int, length: int) -> dict[str, Any]:
    """A batch for the model's head; pictures are in fp32, their length is that of the config."""
    name, config = type(model).__name__, model.config
    with torch.device("meta"):
        one, each = (torch.zeros(shape, dtype=torch.long) for shape in ((batch,), (batch, length)))
        if name.endswith("ForImageClassification"):
            side = config.image_size
            return {"pixel_values": torch.zeros(batch, config.num_channels, side, side), "labels": one}
    if name.endswith("SequenceClassification"):
        return {"input_ids": each, "attention_mask": each, "labels": one}
    if name.endswith("QuestionAnswering"):
        return {"input_ids": each, "start_positions": one, "end_positions": one}
    if name.endswith("TokenClassification"):
        return {"input_ids": each, "attention_mask": each, "labels": each}
    return {"input_ids": each, "labels": each}


def step_bytes(
    model: Any,
    batch: int,
    length: int,
    *,
    lora: peft.LoraConfig | None,
    checkpointing: bool,
    adapters: str = "fp32",
) -> tuple[int, int]:
    """(bytes of weights, greatest sum that a step holds beside them): forward, loss, backward; pictures."""
    inputs = inputs_of(model, batch, length)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if lora is not None:
            model.enable_input_require_grads()
    if lora is not None:
        with torch.device("meta"):
            model = peft.get_peft_model(model, lora)
        for name, tensor in model.named_parameters() if adapters == "bf16" else ():
            if "lora_" in name:
                tensor.data = tensor.data.to(torch.bfloat16)
    model.train()
    weights = {t.untyped_storage()._cdata: t for t in (*model.parameters(), *model.buffers())}
    mode = Allocations()
    for tensor in (*weights.values(), *inputs.values()):
        mode.ignore(tensor)
    if "pixel_values" in inputs:
        mode.live = inputs["pixel_values"].nbytes
    unpacked = patch("transformers.masking_utils.find_packed_sequence_indices", lambda _: None)
    with mode, unpacked, patch("torch.nn.functional.dropout", dropout):
        loss = model(**inputs).loss
        loss.backward()
    held = sum(t.untyped_storage().nbytes() for t in weights.values() if isinstance(t, torch.nn.Parameter))
    return held, mode.peak

"""What does an adapter cost beside full fine-tuning? Numbers, bytes and multiply-adds, counted exactly.

One linear layer (in -> out) with a bias. LoRA adds A (in, r) and B (r, out) and trains only those:

    trainable = r * (in + out)  (+ out with a trained bias),   total = in * out + out + r * (in + out)

so it stores more than full fine-tuning once r > in * out / (in + out). Hu et al. 2021 (LoRA, arXiv
2106.09685), section 4.2. Plain integers; `lora_core.formatting` makes texts of them.
"""

from dataclasses import dataclass

from lora_core.fields import quoted

BYTES_PER_NUMBER = 4  # float32, as everything here is stored
# Numbers an optimizer keeps for each trained one: Adam two moments (its one step counter a tensor left out).
STATE_PER_NUMBER = {"adam": 2, "sgd": 0}


@dataclass(frozen=True)
class LayerCost:
    """What one way of tuning a linear layer costs: counts, bytes, and inference in multiply-adds per sample.

    Only matrix products are counted. Adding a bias and multiplying by the scaling are left out.
    """

    trainable: int
    total: int
    inference_merged: int
    inference_unmerged: int
    state_per_number: int

    @property
    def gradient_bytes(self) -> int:
        """One number for each trained one."""
        return self.trainable * BYTES_PER_NUMBER

    @property
    def optimizer_bytes(self) -> int:
        """What the optimizer remembers between steps."""
        return self.trainable * self.state_per_number * BYTES_PER_NUMBER

    @property
    def file_bytes(self) -> int:
        """What must be saved to keep the result: the trained tensors alone, without a file's header."""
        return self.trainable * BYTES_PER_NUMBER


def lora_cost(
    in_features: int, out_features: int, rank: int, train_bias: bool = False, *, optimizer: str = "adam"
) -> LayerCost:
    """Cost of a LoRA adapter of `rank` on a frozen layer `in_features` -> `out_features`.

    Any rank from 0 (the frozen layer as it is) up; above min(in, out) it counts what is stored, useful or
    not. Merged inference costs what the base does, unmerged r * (in + out) more. ValueError names the field
    that is wrong.
    """
    _check("rank", rank, 0)
    base = _weights(in_features, out_features)
    adapter = rank * (in_features + out_features)
    return LayerCost(
        trainable=adapter + (out_features if train_bias else 0),
        total=base + out_features + adapter,
        inference_merged=base,
        inference_unmerged=base + adapter,
        state_per_number=_state(optimizer),
    )


def full_cost(
    in_features: int, out_features: int, train_bias: bool = False, *, optimizer: str = "adam"
) -> LayerCost:
    """Cost of full fine-tuning of the same layer under the same policy for the bias.

    There is nothing to merge, so both ways of inference cost in * out. ValueError names the field that is
    wrong.
    """
    weights = _weights(in_features, out_features)
    return LayerCost(
        trainable=weights + (out_features if train_bias else 0),
        total=weights + out_features,
        inference_merged=weights,
        inference_unmerged=weights,
        state_per_number=_state(optimizer),
    )


def break_even_storage(in_features: int, out_features: int) -> float:
    """The rank at which LoRA trains as many numbers as full fine-tuning: in * out / (in + out).

    Gradients, optimizer state and the saved file break even there too, and unmerged inference has doubled.
    """
    return _weights(in_features, out_features) / (in_features + out_features)


def _weights(in_features: int, out_features: int) -> int:
    return _check("in_features", in_features, 1) * _check("out_features", out_features, 1)


def _state(optimizer: str) -> int:
    if optimizer not in STATE_PER_NUMBER:
        raise ValueError(f"optimizer must be one of {', '.join(STATE_PER_NUMBER)}, got {quoted(optimizer)}")
    return STATE_PER_NUMBER[optimizer]


def _check(field: str, value: int, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{field} must be a whole number of at least {least}, got {quoted(value)}")
    return value

"""What does an adapter cost beside full fine-tuning? Numbers, bytes and multiply-adds, counted exactly.

One linear layer (in -> out) with a bias. LoRA adds A (in, r) and B (r, out) and trains only those:

    trainable = r * (in + out)  (+ out with a trained bias),   total = in * out + out + r * (in + out)

so it stores more than full fine-tuning once r > in * out / (in + out), and computes more from a smaller rank
still. Hu et al. 2021 (LoRA, arXiv 2106.09685), section 4.2. Plain integers; formatting is left to the pages.
"""

from dataclasses import dataclass

# Numbers an optimizer keeps for each trained one: Adam two moments (its one step counter a tensor left out).
STATE_PER_NUMBER = {"adam": 2, "sgd": 0}


@dataclass(frozen=True)
class LayerCost:
    """What one way of tuning a linear layer costs: counts, bytes, and work in multiply-adds per sample.

    The work is that of the matrix products. Adding a bias and multiplying by the scaling are left out.
    """

    trainable: int
    total: int
    step_only_layer: int
    """A training step where no gradient goes back to the input: the only layer, or the first one."""
    step_in_network: int
    """A training step where the gradient with respect to the input is needed too."""
    inference_merged: int
    inference_unmerged: int
    bytes_per_number: int
    state_per_number: int

    @property
    def share(self) -> float:
        """Trainable part of all numbers, between 0 and 1."""
        return self.trainable / self.total

    @property
    def weight_bytes(self) -> int:
        """All numbers of the layer, frozen ones too."""
        return self.total * self.bytes_per_number

    @property
    def gradient_bytes(self) -> int:
        """One number for each trained one."""
        return self.trainable * self.bytes_per_number

    @property
    def optimizer_bytes(self) -> int:
        """What the optimizer remembers between steps."""
        return self.trainable * self.state_per_number * self.bytes_per_number

    @property
    def file_bytes(self) -> int:
        """What must be saved to keep the result: the trained tensors alone, without a file's header."""
        return self.trainable * self.bytes_per_number


def lora_cost(
    in_features: int,
    out_features: int,
    rank: int,
    train_bias: bool = False,
    *,
    optimizer: str = "adam",
    bytes_per_number: int = 4,
) -> LayerCost:
    """Cost of a LoRA adapter of `rank` on a frozen layer `in_features` -> `out_features`.

    Any rank from 0 (the frozen layer as it is) up; above min(in, out) it counts what is stored, useful or
    not. The work of a step, with io = in * out: in a network 2 io + 3 r (in + out), forward and back through
    the frozen weight and forward, back and gradient for A and B; as the only layer io + 2 r in + 3 r out,
    because nothing goes back past A. Merged inference costs what the base does, unmerged r * (in + out) more.
    ValueError names the field that is wrong.
    """
    _check("rank", rank, 0)
    base = _weights(in_features, out_features)
    adapter = rank * (in_features + out_features)
    return LayerCost(
        trainable=adapter + (out_features if train_bias else 0),
        total=base + out_features + adapter,
        step_only_layer=base + 2 * rank * in_features + 3 * rank * out_features,
        step_in_network=2 * base + 3 * adapter,
        inference_merged=base,
        inference_unmerged=base + adapter,
        bytes_per_number=_check("bytes_per_number", bytes_per_number, 1),
        state_per_number=_state(optimizer),
    )


def full_cost(
    in_features: int,
    out_features: int,
    train_bias: bool = False,
    *,
    optimizer: str = "adam",
    bytes_per_number: int = 4,
) -> LayerCost:
    """Cost of full fine-tuning of the same layer under the same policy for the bias.

    The work of a step: forward, weight gradient and, in a network, input gradient, in * out each. There is
    nothing to merge, so both ways of inference cost in * out. ValueError names the field that is wrong.
    """
    weights = _weights(in_features, out_features)
    return LayerCost(
        trainable=weights + (out_features if train_bias else 0),
        total=weights + out_features,
        step_only_layer=2 * weights,
        step_in_network=3 * weights,
        inference_merged=weights,
        inference_unmerged=weights,
        bytes_per_number=_check("bytes_per_number", bytes_per_number, 1),
        state_per_number=_state(optimizer),
    )


def break_even_storage(in_features: int, out_features: int) -> float:
    """The rank at which LoRA trains as many numbers as full fine-tuning: in * out / (in + out).

    Gradients, optimizer state and the saved file break even there too, and unmerged inference has doubled.
    """
    return _weights(in_features, out_features) / (in_features + out_features)


def break_even_network(in_features: int, out_features: int) -> float:
    """The rank at which a LoRA step inside a network takes as many multiply-adds as a full one.

    2 io + 3 r (in + out) = 3 io, with io = in * out: a third of the rank that breaks even in storage.
    """
    return _weights(in_features, out_features) / (3 * (in_features + out_features))


def break_even_only_layer(in_features: int, out_features: int) -> float:
    """The rank at which a LoRA step of the only (or first) layer takes as many multiply-adds as a full one.

    io + 2 r in + 3 r out = 2 io, with io = in * out.
    """
    return _weights(in_features, out_features) / (2 * in_features + 3 * out_features)


def _weights(in_features: int, out_features: int) -> int:
    return _check("in_features", in_features, 1) * _check("out_features", out_features, 1)


def _state(optimizer: str) -> int:
    if optimizer not in STATE_PER_NUMBER:
        raise ValueError(f"optimizer must be one of {', '.join(STATE_PER_NUMBER)}, got {optimizer!r}")
    return STATE_PER_NUMBER[optimizer]


def _check(field: str, value: int, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{field} must be a whole number of at least {least}, got {value!r}")
    return value

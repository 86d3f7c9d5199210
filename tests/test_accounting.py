"""Counts and work against torch's own counter of operations and published numbers; PEFT: test_layer.py."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lora_core.accounting import break_even_storage, full_cost, lora_cost


def test_rank_above_the_smaller_dimension_is_counted_as_stored() -> None:
    cost = lora_cost(64, 10, 32)
    assert (cost.trainable, cost.total) == (2368, 3018)


@pytest.mark.parametrize(
    ("matrices", "size", "rank", "published"),
    [
        pytest.param(24, 768, 8, 294_912, id="RoBERTa base, q and v, 0.3M"),
        pytest.param(48, 1024, 8, 786_432, id="RoBERTa large, q and v, 0.8M"),
        pytest.param(192, 12288, 4, 18_874_368, id="GPT-3 175B, q and v, 18.8M"),
        pytest.param(64, 4096, 8, 4_194_304, id="Llama-2-7B, q and v"),
    ],
)
def test_published_adapters(matrices: int, size: int, rank: int, published: int) -> None:
    """LoRA paper (arXiv 2106.09685), tables 2, 5 and 9; torchtune's LoRA tutorial for Llama-2."""
    assert matrices * lora_cost(size, size, rank).trainable == published


def test_bytes_follow_from_the_counts() -> None:
    cost = lora_cost(64, 10, 4, train_bias=True)
    assert cost.gradient_bytes == cost.file_bytes == 306 * 4
    assert cost.optimizer_bytes == 2 * 306 * 4
    assert lora_cost(64, 10, 4, optimizer="sgd").optimizer_bytes == 0


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_optimizer_bytes_are_what_torch_keeps(optimizer: str) -> None:
    layer = nn.Linear(24, 6)
    torch_optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer](
        layer.parameters(), lr=0.1
    )
    layer(torch.ones(3, 24)).sum().backward()
    torch_optimizer.step()
    kept = [v for state in torch_optimizer.state.values() for k, v in state.items() if k != "step"]
    assert full_cost(24, 6, train_bias=True, optimizer=optimizer).optimizer_bytes == sum(
        v.numel() * v.element_size() for v in kept if v is not None
    )


def test_full_fine_tuning_has_the_same_policy_for_the_bias() -> None:
    assert (full_cost(64, 10).trainable, full_cost(64, 10).total) == (640, 650)
    assert full_cost(64, 10, train_bias=True).trainable == 650
    assert full_cost(64, 10, train_bias=True).total == 650


def test_rank_0_is_the_frozen_layer() -> None:
    cost = lora_cost(64, 10, 0)
    assert (cost.trainable, cost.total) == (0, 650)
    assert cost.inference_unmerged == 640


def _multiply_adds(in_features: int, out_features: int, rank: int | None) -> int:
    """Multiply-adds of one sample forward as torch counts them (two of its operations are one of these)."""
    layer = nn.Linear(in_features, out_features)
    A = nn.Parameter(torch.ones(in_features, rank or 1))
    B = nn.Parameter(torch.ones(rank or 1, out_features))
    x = torch.ones(1, in_features)
    with FlopCounterMode(display=False) as counter:
        _ = layer(x) if rank is None else layer(x) + 0.5 * (x @ A @ B)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(("in_features", "out_features"), [(64, 10), (12, 40), (2, 2)])
def test_inference_is_what_torch_counts(in_features: int, out_features: int) -> None:
    full = full_cost(in_features, out_features)
    assert full.inference_merged == _multiply_adds(in_features, out_features, None)
    for rank in (1, 4, 48):
        lora = lora_cost(in_features, out_features, rank)
        assert lora.inference_unmerged == _multiply_adds(in_features, out_features, rank)
        assert lora.inference_merged == full.inference_merged


def test_break_even_ranks() -> None:
    assert f"{break_even_storage(64, 10):.2f}" == "8.65"
    assert break_even_storage(1024, 1024) == 512.0


@pytest.mark.parametrize("size", [(64, 10), (10, 64), (2, 2), (1024, 1024), (3, 1024)])
def test_break_even_is_where_the_costs_cross(size: tuple[int, int]) -> None:
    rank, full = int(break_even_storage(*size)), full_cost(*size).trainable
    assert lora_cost(*size, rank).trainable <= full < lora_cost(*size, rank + 1).trainable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_features": 0}, "in_features must be a whole number of at least 1, got 0"),
        ({"out_features": 2.5}, "out_features must be a whole number of at least 1, got 2.5"),
        ({"rank": -1}, "rank must be a whole number of at least 0, got -1"),
        ({"rank": True}, "rank must be a whole number"),
        ({"optimizer": "lion"}, "optimizer must be one of adam, sgd, got 'lion'"),
    ],
)
def test_wrong_fields_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lora_cost(**({"in_features": 64, "out_features": 10, "rank": 4} | arguments))


def test_wrong_sizes_of_full_fine_tuning_and_break_even_are_named() -> None:
    with pytest.raises(ValueError, match="out_features"):
        full_cost(64, 0)
    with pytest.raises(ValueError, match="in_features"):
        break_even_storage(-3, 10)

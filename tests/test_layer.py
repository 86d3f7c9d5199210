"""The layer against the original script's digits, closed forms, and PEFT's LoRA of the same weights."""

import copy
import io
import math
from collections.abc import Iterator
from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn

from lora_core.accounting import lora_cost
from lora_core.geometry import numerical_rank
from lora_core.layer import LoRALayer, count_parameters, draw_linear, initialise
from lora_core.training.loop import create_toy_dataset, train_model
from tests.printed import LINES, on_any_processor

SHAPES = [(7, 5), (5, 7), (2, 2), (16, 3)]


@pytest.fixture
def seeded() -> Iterator[None]:
    """The global random stream at seed 42, as the original script uses it; put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        yield


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


def trained_like(in_features: int = 7, out_features: int = 5, rank: int = 3, **options: Any) -> LoRALayer:
    """A layer whose A and B are both away from zero, alpha != rank."""
    layer = LoRALayer(in_features, out_features, rank, **{"alpha": 8.0, "generator": generator(1), **options})
    with torch.no_grad():
        layer.lora_B.copy_(normal(rank, out_features, seed=2))
    return layer


# --- the original script


@pytest.mark.usefixtures("seeded")
def test_the_original_script_to_the_digit(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = create_toy_dataset()
    model = LoRALayer(64, 10, rank=4, init="original", train_bias=True)
    losses = train_model(model, X, y, 10, 0.01)
    assert on_any_processor(capsys.readouterr().out) == LINES
    assert losses[0] == pytest.approx(243.7067, abs=5e-5)
    assert len(losses) == 10
    with torch.no_grad():
        assert nn.functional.mse_loss(model(X), y).item() == pytest.approx(166.8913, abs=5e-5)


@pytest.mark.usefixtures("seeded")
def test_one_stream_in_the_scripts_order_gives_its_tensors() -> None:
    X, y = torch.randn(1000, 64), torch.randn(1000, 10)
    linear = nn.Linear(64, 10)
    A, B = torch.randn(64, 4), torch.randn(4, 10)
    stream = generator(42)
    toy_X, toy_y = create_toy_dataset(generator=stream)
    model = LoRALayer(64, 10, init="original", generator=stream)
    assert torch.equal(toy_X, X)
    assert torch.equal(toy_y, y)
    assert torch.equal(model.linear.weight, linear.weight)
    assert torch.equal(model.linear.bias, linear.bias)
    assert torch.equal(model.lora_A, A)
    assert torch.equal(model.lora_B, B)


@pytest.mark.usefixtures("seeded")
def test_an_own_generator_leaves_the_global_stream_alone() -> None:
    before = torch.get_rng_state()
    LoRALayer(6, 4, init="original", generator=generator()).change_rank(6, generator())
    create_toy_dataset(16, 4, 4, generator())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("train_bias", "counts"), [(True, (306, 946)), (False, (296, 946))])
def test_counts_of_the_original_script(train_bias: bool, counts: tuple[int, int]) -> None:
    layer = LoRALayer(64, 10, rank=4, train_bias=train_bias)
    assert count_parameters(layer) == counts
    assert sum(parameter.numel() for parameter in layer.trainable_parameters()) == counts[0]


@pytest.mark.parametrize("train_bias", [False, True])
def test_the_trainable_parameters_are_those_that_require_grad(train_bias: bool) -> None:
    layer = LoRALayer(6, 4, rank=2, train_bias=train_bias)
    listed = {id(parameter) for parameter in layer.trainable_parameters()}
    assert listed == {id(parameter) for parameter in layer.parameters() if parameter.requires_grad}
    assert not layer.linear.weight.requires_grad


def test_training_moves_only_what_is_trained() -> None:
    X, y = create_toy_dataset(40, 7, 5, generator())
    for train_bias in (False, True):
        layer = trained_like(train_bias=train_bias)
        before = copy.deepcopy(layer.state_dict())
        train_model(layer, X, y, 3, 0.1, verbose=False)
        moved = {name for name, value in layer.state_dict().items() if not torch.equal(value, before[name])}
        assert moved == {"lora_A", "lora_B", *(["linear.bias"] if train_bias else [])}


def test_count_of_any_module() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    module[0].weight.requires_grad_(False)
    assert count_parameters(module) == (5, 11)


# --- forward


@pytest.mark.parametrize("rule", ["standard", "rslora", "constant"])
@pytest.mark.parametrize(("in_features", "out_features"), SHAPES)
@pytest.mark.parametrize("rank", [1, 3, 20])
def test_forward_is_the_closed_form(in_features: int, out_features: int, rank: int, rule: str) -> None:
    layer = trained_like(in_features, out_features, rank, scaling_rule=rule).double()
    factor = {"standard": 8 / rank, "rslora": 8 / math.sqrt(rank), "constant": 8.0}[rule]
    x = normal(2, 9, in_features, seed=3).double()
    A, B = layer.lora_A.detach(), layer.lora_B.detach()
    expected: Tensor = x @ layer.linear.weight.T + layer.linear.bias
    for i in range(rank):
        expected = expected + factor * torch.einsum("abi,i,o->abo", x, A[:, i], B[i])
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    assert layer.scaling == factor
    assert layer.delta().shape == (in_features, out_features)
    merged = nn.functional.linear(x, layer.linear.weight + layer.delta().T, layer.linear.bias)
    torch.testing.assert_close(layer(x), merged, rtol=1e-12, atol=1e-12)


def test_scaling_is_1_without_alpha() -> None:
    for rule in ("standard", "rslora", "constant"):
        assert LoRALayer(6, 4, rank=3, scaling_rule=rule).scaling == 1.0


@pytest.mark.parametrize("init", ["kaiming", "gaussian", "zero"])
def test_equal_to_the_base_bit_for_bit_at_the_start(init: str) -> None:
    layer = LoRALayer(64, 10, rank=4, alpha=8.0, init=init, generator=generator())
    x = normal(50, 64)
    assert torch.equal(layer(x), layer.linear(x))


@pytest.mark.parametrize("init", ["kaiming", "gaussian"])
def test_the_first_step_moves_b_and_leaves_a(init: str) -> None:
    X, y = create_toy_dataset(40, 7, 5, generator())
    layer = LoRALayer(7, 5, rank=3, alpha=8.0, init=init, generator=generator(1))
    start = layer.lora_A.detach().clone()
    nn.functional.mse_loss(layer(X), y).backward()
    assert layer.lora_A.grad is not None
    assert layer.lora_B.grad is not None
    assert torch.equal(layer.lora_A.grad, torch.zeros_like(layer.lora_A))
    assert layer.lora_B.grad.norm() > 0
    train_model(layer, X, y, 1, 0.1, verbose=False)
    assert torch.equal(layer.lora_A, start)
    assert layer.lora_B.norm() > 0


# --- where A and B start


def test_kaiming_is_uniform_within_one_over_root_in() -> None:
    """Not 1/sqrt(rank), which torch's initialiser gives when it is handed A instead of its transpose."""
    A, B = initialise(400, 30, 4, "kaiming", generator())
    bound = 1 / math.sqrt(400)
    assert A.abs().max() <= bound
    assert A.abs().max() > 0.99 * bound
    assert A.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert A.mean().item() == pytest.approx(0.0, abs=0.002)
    assert not B.any()


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_gaussian_has_a_deviation_of_one_over_rank(rank: int) -> None:
    A, B = initialise(1000, 30, rank, "gaussian", generator())
    assert A.std().item() == pytest.approx(1 / rank, rel=0.06)
    assert A.mean().item() == pytest.approx(0.0, abs=0.1 / rank)
    assert not B.any()


def test_original_is_standard_normal_in_both() -> None:
    A, B = initialise(500, 400, 4, "original", generator())
    for factor in (A, B):
        assert factor.std().item() == pytest.approx(1.0, rel=0.05)
        assert (factor.abs() > 2).float().mean().item() == pytest.approx(0.0455, abs=0.02)


def test_the_original_start_adds_a_loss_of_in_times_rank() -> None:
    """Expected extra loss over white inputs: s^2 * in * r."""
    extra = []
    for seed in range(40):
        A, B = initialise(64, 10, 4, "original", generator(seed))
        extra.append((0.5 * A @ B).square().sum().item() / 10)
    assert sum(extra) / len(extra) == pytest.approx(0.5**2 * 64 * 4, rel=0.1)


def test_the_base_is_drawn_as_torch_draws_a_linear_layer() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        linear = nn.Linear(33, 9)
    weight, bias = draw_linear(33, 9, generator(7))
    assert torch.equal(weight, linear.weight)
    assert torch.equal(bias, linear.bias)


# --- merging


@pytest.mark.parametrize(("in_features", "out_features"), SHAPES)
def test_merging_twice_and_unmerging_gives_the_base_back_to_the_bit(
    in_features: int, out_features: int
) -> None:
    layer = trained_like(in_features, out_features)
    base, x = layer.linear.weight.clone(), normal(30, in_features)
    unmerged = layer(x)
    for _ in range(2):
        layer.merge()
        layer.merge()
        assert layer.merged
        torch.testing.assert_close(layer(x), unmerged, rtol=1e-5, atol=1e-5)
        assert torch.equal(layer(x), layer.linear(x))
        torch.testing.assert_close(layer.linear.weight, base + layer.delta().T, rtol=1e-6, atol=1e-6)
        layer.unmerge()
        layer.unmerge()
        assert not layer.merged
        assert torch.equal(layer.linear.weight, base)
        assert torch.equal(layer(x), unmerged)


def test_the_merge_differs_by_rounding_alone() -> None:
    layer = trained_like(64, 10, 4)
    x = normal(200, 64)
    unmerged = layer(x)
    layer.merge()
    assert (layer(x) - unmerged).abs().max() < 2e-6 * unmerged.abs().max()


def test_unmerging_a_layer_trained_while_merged_gives_the_base_back() -> None:
    layer = trained_like()
    base = layer.linear.weight.clone()
    layer.merge()
    with torch.no_grad():
        layer.lora_A.add_(1.0)
    layer.unmerge()
    assert torch.equal(layer.linear.weight, base)
    layer.merge()
    torch.testing.assert_close(layer.linear.weight, base + layer.delta().T)


def test_merging_after_further_training_takes_the_new_change() -> None:
    X, y = create_toy_dataset(40, 7, 5, generator())
    layer = trained_like()
    layer.merge()
    layer.unmerge()
    train_model(layer, X, y, 5, 0.1, verbose=False)
    expected = layer(X).detach()
    layer.merge()
    torch.testing.assert_close(layer(X), expected, rtol=1e-5, atol=1e-5)


def test_the_frozen_weight_stays_frozen_through_a_merge() -> None:
    layer = trained_like()
    layer.merge()
    assert not layer.linear.weight.requires_grad
    assert layer.linear.weight.grad_fn is None
    layer.unmerge()
    assert count_parameters(layer) == (36, 7 * 5 + 5 + 36)


# --- changing the rank


@pytest.mark.parametrize("alpha", [None, 8.0])
@pytest.mark.parametrize("rule", ["standard", "rslora", "constant"])
@pytest.mark.parametrize("rank", [3, 4, 8, 40])
def test_growing_leaves_the_loss_as_it_is(rank: int, rule: str, alpha: float | None) -> None:
    layer = trained_like(alpha=alpha, scaling_rule=rule).double()
    X, y = normal(50, 7).double(), normal(50, 5, seed=4).double()
    before = nn.functional.mse_loss(layer(X), y).item()
    delta = layer.delta().detach()
    layer.change_rank(rank, generator(5))
    assert nn.functional.mse_loss(layer(X), y).item() == pytest.approx(before, rel=1e-13)
    torch.testing.assert_close(layer.delta(), delta, rtol=1e-12, atol=1e-13)
    expected = {"standard": 8 / rank, "rslora": 8 / math.sqrt(rank), "constant": 8.0}[rule]
    assert layer.scaling == (1.0 if alpha is None else expected)
    assert layer.lora_A.shape == (7, rank)
    assert layer.lora_B.shape == (rank, 5)
    assert layer.rank == rank
    assert not layer.lora_B[3:].any()
    new = layer.lora_A[:, 3:]
    assert new.numel() == 0 or 0.5 / math.sqrt(7) < new.abs().max() <= 1 / math.sqrt(7)


def test_a_grown_adapter_trains_in_its_new_rank() -> None:
    X, y = create_toy_dataset(60, 7, 5, generator())
    layer = trained_like(rank=1)
    layer.change_rank(4, generator(5))
    assert count_parameters(layer)[0] == 4 * (7 + 5)
    train_model(layer, X, y, 20, 0.05, verbose=False)
    assert numerical_rank(torch.linalg.svdvals(layer.delta()), 1e-4) == 4


@pytest.mark.parametrize("alpha", [None, 8.0])
@pytest.mark.parametrize("rule", ["standard", "rslora", "constant"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_shrinking_moves_the_change_by_the_discarded_singular_values(
    rank: int, rule: str, alpha: float | None
) -> None:
    layer = trained_like(rank=4, alpha=alpha, scaling_rule=rule).double()
    delta = layer.delta().detach()
    U, values, Vh = torch.linalg.svd(delta, full_matrices=False)
    layer.change_rank(rank)
    best = U[:, :rank] * values[:rank] @ Vh[:rank]
    torch.testing.assert_close(layer.delta(), best, rtol=1e-10, atol=1e-11)
    moved = (layer.delta() - delta).norm().item()
    assert moved == pytest.approx(values[rank:].norm().item(), rel=1e-10)
    assert moved > 0.01
    assert count_parameters(layer)[0] == rank * (7 + 5)


def test_growing_then_shrinking_gives_the_change_back() -> None:
    layer = trained_like().double()
    delta = layer.delta().detach()
    layer.change_rank(9, generator(5))
    layer.change_rank(3)
    assert layer.scaling == 8 / 3
    torch.testing.assert_close(layer.delta(), delta, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("rank", [1, 5, 8])
def test_the_kind_of_numbers_survives_a_change_of_rank(rank: int) -> None:
    for dtype in (torch.float32, torch.float64):
        layer = trained_like().to(dtype)
        layer.change_rank(rank, generator(5))
        assert layer.lora_A.dtype == layer.lora_B.dtype == dtype
        assert layer(normal(4, 7).to(dtype)).dtype == dtype


def test_a_merged_layer_keeps_its_rank() -> None:
    layer = trained_like()
    layer.merge()
    with pytest.raises(ValueError, match="the layer is merged: unmerge it before its rank is changed"):
        layer.change_rank(2)
    assert layer.rank == 3


# --- saving and loading


@pytest.mark.parametrize("train_bias", [False, True])
def test_saving_and_loading_keeps_every_trained_tensor(train_bias: bool) -> None:
    X, y = create_toy_dataset(40, 7, 5, generator())
    layer = trained_like(train_bias=train_bias)
    train_model(layer, X, y, 5, 0.1, verbose=False)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    again = LoRALayer(7, 5, rank=3, alpha=8.0, train_bias=train_bias, generator=generator(9))
    again.load_state_dict(torch.load(file))
    assert set(layer.state_dict()) == {"linear.weight", "linear.bias", "lora_A", "lora_B"}
    assert torch.equal(again(X), layer(X))


def test_saving_only_what_is_trained_is_enough_beside_the_base() -> None:
    X, y = create_toy_dataset(40, 7, 5, generator())
    layer = LoRALayer(7, 5, rank=3, alpha=8.0, train_bias=True, generator=generator(1))
    fresh = copy.deepcopy(layer)
    train_model(layer, X, y, 5, 0.1, verbose=False)
    names = {name for name, parameter in layer.named_parameters() if parameter.requires_grad}
    adapter = {name: value for name, value in layer.state_dict().items() if name in names}
    missing, unexpected = fresh.load_state_dict(adapter, strict=False)
    assert missing == ["linear.weight"]
    assert unexpected == []
    assert torch.equal(fresh(X), layer(X))


def test_a_merged_layer_is_neither_saved_nor_loaded_into() -> None:
    """Its weight holds the change already: beside A and B it would be counted twice."""
    layer, other = trained_like(), trained_like()
    saved = copy.deepcopy(layer.state_dict())
    layer.merge()
    with pytest.raises(ValueError, match="the layer is merged: unmerge it before it is saved"):
        layer.state_dict()
    with pytest.raises(ValueError, match="the layer is merged: unmerge it before it is loaded into"):
        layer.load_state_dict(saved)
    with pytest.raises(ValueError, match="merged"):
        nn.Sequential(layer).state_dict()
    layer.unmerge()
    layer.load_state_dict(other.state_dict())
    assert torch.equal(layer.lora_A, other.lora_A)


def test_a_copy_of_a_merged_layer_unmerges_by_itself() -> None:
    layer = trained_like()
    base = layer.linear.weight.clone()
    layer.merge()
    twin = copy.deepcopy(layer)
    twin.unmerge()
    assert layer.merged
    assert torch.equal(twin.linear.weight, base)


def test_what_it_prints() -> None:
    assert "rank=3, scaling=2.66667, merged=False" in repr(trained_like())


# --- PEFT


class Holder(nn.Module):
    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def peft_twin(layer: LoRALayer, **options: Any) -> tuple[Any, Any]:
    """PEFT's model of the same weights, and its LoRA layer: it stores the transposes of A and B."""
    in_features, out_features = layer.linear.in_features, layer.linear.out_features
    linear = nn.Linear(in_features, out_features)
    linear.load_state_dict(layer.linear.state_dict())
    alpha = layer.rank if layer.alpha is None else layer.alpha
    config: Any = peft.LoraConfig(
        r=layer.rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        target_modules=["linear"],
        **options,
    )
    model: Any = peft.get_peft_model(Holder(linear), config)
    inner = model.base_model.model.linear
    with torch.no_grad():
        inner.lora_A["default"].weight.copy_(layer.lora_A.T)
        inner.lora_B["default"].weight.copy_(layer.lora_B.T)
    return model, inner


@pytest.mark.parametrize("rule", ["standard", "rslora"])
@pytest.mark.parametrize("rank", [1, 3, 32])
@pytest.mark.parametrize(("in_features", "out_features"), [(64, 10), (10, 64)])
def test_forward_delta_and_merge_are_pefts(in_features: int, out_features: int, rank: int, rule: str) -> None:
    layer = trained_like(in_features, out_features, rank, scaling_rule=rule)
    model, inner = peft_twin(layer, use_rslora=rule == "rslora")
    x = normal(30, in_features)
    assert inner.scaling["default"] == layer.scaling
    torch.testing.assert_close(layer(x), model(x), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(layer.delta().T, inner.get_delta_weight("default"), rtol=1e-5, atol=1e-5)
    layer.merge()
    merged = model.merge_and_unload()
    torch.testing.assert_close(layer.linear.weight, merged.linear.weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("train_bias", "bias"), [(False, "none"), (True, "lora_only")])
@pytest.mark.parametrize("shape", [(64, 10, 4), (64, 10, 32), (2, 2, 1), (16, 48, 7)])
def test_counts_are_pefts(shape: tuple[int, int, int], train_bias: bool, bias: str) -> None:
    layer = LoRALayer(*shape, train_bias=train_bias)
    model, _ = peft_twin(layer, bias=bias)
    cost = lora_cost(*shape, train_bias)
    assert count_parameters(layer) == (cost.trainable, cost.total) == model.get_nb_trainable_parameters()


@pytest.mark.parametrize(("train_bias", "bias"), [(False, "none"), (True, "lora_only")])
def test_training_goes_pefts_way(train_bias: bool, bias: str) -> None:
    layer = LoRALayer(16, 6, 4, alpha=8.0, train_bias=train_bias, generator=generator(1))
    model, inner = peft_twin(layer, bias=bias)
    X, y = normal(50, 16), normal(50, 6, seed=4)
    ours = train_model(layer, X, y, 30, 0.02, verbose=False)
    theirs = train_model(model, X, y, 30, 0.02, verbose=False)
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert ours[-1] < 0.9 * ours[0]
    torch.testing.assert_close(layer.delta().T, inner.get_delta_weight("default"), rtol=1e-3, atol=1e-3)


def test_the_kaiming_start_is_pefts() -> None:
    _, inner = peft_twin(LoRALayer(400, 30, 4, alpha=8.0))
    inner.reset_lora_parameters("default", True)
    theirs = inner.lora_A["default"].weight
    ours, _ = initialise(400, 30, 4, "kaiming", generator())
    assert theirs.abs().max() <= 1 / math.sqrt(400)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.05)
    inner.reset_lora_parameters("default", "gaussian")
    ours, _ = initialise(400, 30, 4, "gaussian", generator())
    assert ours.std().item() == pytest.approx(inner.lora_A["default"].weight.std().item(), rel=0.08)


# --- wrong input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, r"rank is 0: it must be a whole number from 1 to 1,024"),
        ({"rank": -1}, "rank is -1"),
        ({"rank": 2.0}, "rank is 2.0"),
        ({"rank": True}, "rank is True"),
        ({"in_features": 1}, "in_features is 1: it must be a whole number from 2"),
        ({"out_features": 2.5}, "out_features is 2.5"),
        ({"alpha": 0.0}, "alpha is 0.0: it must be a number from 0.001 to 4096"),
        ({"alpha": math.nan}, "alpha is nan"),
        (
            {"scaling_rule": "linear"},
            "scaling_rule is 'linear': it must be one of standard, rslora, constant",
        ),
        ({"init": "pissa"}, "init is 'pissa': it must be one of kaiming, gaussian, original, zero"),
        ({"train_bias": 1}, "train_bias is 1: it must be true or false"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoRALayer(**{"in_features": 6, "out_features": 4, **options})


def test_a_wrong_rank_to_change_to_is_named() -> None:
    layer = trained_like()
    for rank in (0, 1025, 2.0):
        with pytest.raises(ValueError, match=f"rank is {rank}"):
            layer.change_rank(rank)  # type: ignore[arg-type]


def test_wrong_arguments_of_initialise_are_named() -> None:
    with pytest.raises(ValueError, match="rank is 0"):
        initialise(4, 4, 0)
    with pytest.raises(ValueError, match="init is 'olora'"):
        initialise(4, 4, 2, "olora")

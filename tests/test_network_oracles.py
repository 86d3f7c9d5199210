"""Is the small network's fast path the usual training? Against autograd, torch's Adam and PEFT."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import peft
import pytest
import torch
from torch import nn

from lora_core.layer import LoRALayer, count_parameters
from lora_core.network import NetworkExperiment, adapt, load_network, merge, run_network, unmerge
from lora_core.network.adapting import adapters
from lora_core.network.data import Rows, task_of
from lora_core.network.experiment import Targets
from lora_core.network.pretrain import loss_of
from lora_core.network.run import batch_order, run_lane, train_lane
from lora_core.network.shape import MODULES, path_of
from lora_core.network.stack import Base, Stack, decode

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
LONG = NetworkExperiment(updates=200, batch=16)
SHORT = NetworkExperiment(updates=10, batch=8)


def trained(model: nn.Module, experiment: NetworkExperiment, rate: Callable[[str], float]) -> np.ndarray:
    """Losses of a plain loop over what requires grad: autograd and torch's Adam."""
    task, order = task_of(experiment.network, experiment.task), batch_order(experiment)
    parameters = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
    adam = torch.optim.Adam([{"params": [each], "lr": rate(name)} for name, each in parameters])
    losses = []
    for _ in range(experiment.updates):
        adam.zero_grad()
        rows = task.batch(experiment.batch, order)
        loss = loss_of(model(rows.inputs), rows.targets)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return np.array(losses)


def stacked(stack: Stack) -> np.ndarray:
    """Losses (lane, update) of a stack."""
    first = stack.lanes[0]
    task, order = task_of(first.network, first.task), batch_order(first)
    return np.array([stack.step(task.batch(first.batch, order)).numpy() for _ in range(first.updates)]).T


def base(experiment: NetworkExperiment, dtype: torch.dtype = torch.float32) -> Base:
    return Base(load_network(experiment.network), experiment.shape, dtype)


def adapted(experiment: NetworkExperiment, dtype: torch.dtype = torch.float32) -> nn.Module:
    ranks = {path_of(module): rank for module, rank in experiment.module_ranks().items()}
    return adapt(
        load_network(experiment.network).to(dtype), ranks, experiment.rank, experiment.alpha,
        experiment.scaling_rule, rank_pattern=ranks,
        generator=torch.Generator().manual_seed(experiment.seed),
    )  # fmt: skip


def rows(experiment: NetworkExperiment) -> Rows:
    return task_of(experiment.network, experiment.task).batch(6, torch.Generator().manual_seed(9))


@pytest.mark.parametrize(
    ("dtype", "lr_ratio", "tolerance"), [(torch.float64, 2.0, 1e-12), (torch.float32, 1.0, 1e-6)]
)
def test_the_stack_takes_the_steps_of_adapt_and_of_peft(
    dtype: torch.dtype, lr_ratio: float, tolerance: float
) -> None:
    experiment = replace(LONG, lr_ratio=lr_ratio)
    model = adapted(experiment, dtype)
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=LINEAR)
    other = peft.get_peft_model(load_network("words").to(dtype), config, autocast_adapter_dtype=False)
    for path, layer in adapters(model).items():
        theirs = other.base_model.model.get_submodule(path).lora_A["default"].weight
        theirs.data.copy_(layer.lora_A.detach().T)
    assert count_parameters(model) == other.get_nb_trainable_parameters() == (6_912, 65_808)

    def rate(name: str) -> float:
        return experiment.learning_rate * (lr_ratio if "lora_B" in name else 1.0)

    (ours,) = stacked(Stack(base(experiment, dtype), [experiment]))
    np.testing.assert_allclose(ours, trained(model, experiment, rate), rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours, trained(other, experiment, rate), rtol=0, atol=tolerance)
    assert ours[-1] < ours[0] - 0.5


@pytest.mark.parametrize("ranks", ["", "head:2"])
def test_the_stack_takes_the_steps_of_full_fine_tuning(ranks: str) -> None:
    experiment = replace(LONG, network="copier", ranks=ranks, updates=100)
    model = load_network("copier").double().requires_grad_(False)
    for module in experiment.trained_fully():
        model.get_submodule(path_of(module)).requires_grad_(True)
    (ours,) = stacked(Stack(base(experiment, torch.float64), [experiment], full=True))
    theirs = trained(model, experiment, lambda _: experiment.full_learning_rate)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    assert count_parameters(model)[0] == experiment.trainable_full()


@pytest.mark.parametrize(
    "experiment",
    [
        replace(SHORT, targets=targets, ranks="1.up:7" if targets is Targets.OWN else "", rank=3)
        for targets in Targets
    ]
    + [replace(SHORT, network="copier", rank=2, ranks="head:3,0.q:0")],
)
def test_every_choice_of_modules_trains_what_peft_would(experiment: NetworkExperiment) -> None:
    ranks = {path_of(module): rank for module, rank in experiment.module_ranks().items()}
    config = peft.LoraConfig(r=1, target_modules=list(ranks), rank_pattern=ranks)
    theirs = peft.get_peft_model(load_network(experiment.network), config).get_nb_trainable_parameters()
    model = adapted(experiment)
    assert count_parameters(model) == theirs
    assert theirs[0] == experiment.trainable()
    assert list(adapters(model)) == [path for path in experiment.shape.modules() if path in ranks]


def test_a_fresh_adapter_is_the_base_to_the_bit() -> None:
    signs = rows(SHORT).inputs
    plain, model = load_network("words"), adapted(SHORT)
    assert torch.equal(model(signs), plain(signs))
    stack = Stack(base(SHORT), [SHORT, replace(SHORT, rank=9)])
    fresh = decode(stack.base, stack.weights(), signs[None])
    assert torch.equal(fresh[0], decode(stack.base, {}, signs[None])[0])
    assert torch.equal(fresh[0], fresh[1])
    torch.testing.assert_close(fresh[0], plain(signs), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_merged_it_answers_as_before_and_unmerged_to_the_bit(dtype: torch.dtype, tolerance: float) -> None:
    model, signs = adapted(SHORT, dtype), rows(SHORT).inputs
    trained(model, SHORT, lambda _: 0.02)
    before = model(signs)
    merge(model)
    assert all(layer.merged for layer in adapters(model).values())
    torch.testing.assert_close(model(signs), before, rtol=0, atol=tolerance)
    unmerge(model)
    assert torch.equal(model(signs), before)


def test_a_lane_alone_is_the_lane_beside_full_fine_tuning_to_the_bit() -> None:
    run = run_network(SHORT)
    for lane, full in ((run.lora, False), (run.full, True)):
        alone = run_lane(SHORT, full)
        assert np.array_equal(lane.test_loss, alone.test_loss)
        assert np.array_equal(lane.batch_loss, alone.batch_loss)
        assert lane.words == alone.words
    assert run.fingerprint == run_network(SHORT).fingerprint
    assert run.fingerprint != run_network(replace(SHORT, seed=2)).fingerprint


def test_ranks_of_a_padded_stack_are_those_trained_alone() -> None:
    lanes = [
        replace(SHORT, rank=rank, targets=targets) for rank, targets in ((1, "all"), (16, "mlp"), (4, "head"))
    ]
    together = stacked(Stack(base(SHORT, torch.float64), lanes))
    for lane, losses in zip(lanes, together, strict=True):
        (alone,) = stacked(Stack(base(SHORT, torch.float64), [lane]))
        np.testing.assert_allclose(losses, alone, rtol=0, atol=1e-12)


def test_batches_move_with_the_seed_and_with_neither_rank_nor_modules() -> None:
    def firsts(experiment: NetworkExperiment) -> list[float]:
        return [
            next(iter(lanes))
            for lanes in [run_lane(experiment).batch_loss, run_lane(experiment, True).batch_loss]
        ]

    known = firsts(replace(SHORT, updates=5))
    for change in ({"rank": 9}, {"targets": "qv"}, {"learning_rate": 0.1}, {"ranks": "0.q:1"}):
        assert firsts(replace(SHORT, updates=5, **change)) == known
    assert firsts(replace(SHORT, updates=5, seed=2)) != known


def test_a_start_is_moved_by_neither_rank_nor_other_modules() -> None:
    small, large = (
        adapters(adapted(e)) for e in (replace(SHORT, rank=2, targets="qv"), replace(SHORT, rank=5))
    )
    for path, layer in small.items():
        assert torch.equal(layer.lora_A, large[path].lora_A[:, :2])
    drawn = [layer.lora_A[:2, 0] for layer in large.values()]
    assert len({tuple(each.tolist()) for each in drawn}) == len(drawn)


@pytest.mark.parametrize("network", ["words", "copier"])
def test_no_sign_sees_the_ones_after_it(network: str) -> None:
    experiment = replace(SHORT, network=network)
    signs = rows(experiment).inputs
    other = signs.clone()
    other[:, 5:] = (other[:, 5:] + 1) % 10
    model = load_network(network)
    assert torch.equal(model(signs)[:, :5], model(other)[:, :5])
    one, two = (decode(base(experiment), {}, each[None])[0] for each in (signs, other))
    torch.testing.assert_close(one[:, :5], two[:, :5], rtol=0, atol=1e-5)
    assert not torch.allclose(one[:, 5:], two[:, 5:], atol=1e-2)


def test_nothing_is_trained_where_no_module_has_a_rank() -> None:
    lane = run_lane(replace(SHORT, targets="own"))
    assert lane.trained == 0
    assert np.ptp(lane.test_loss) == 0
    assert lane.words[0] == lane.words[-1]


def test_a_rate_far_too_high_ends_the_lane_with_what_was_finite() -> None:
    *_, lane = train_lane(replace(SHORT, updates=40, learning_rate=1.0, alpha=4096.0))
    assert lane.complete
    assert lane.diverged_at is not None
    assert np.isfinite(lane.test_loss).all()
    assert len(lane.test_loss) == len(lane.updates) == len(lane.words) == len(lane.change)


def test_a_layer_around_a_given_one_freezes_it_and_needs_no_bias() -> None:
    linear = nn.Linear(6, 4, bias=False)
    layer = LoRALayer.around(linear, rank=2, alpha=4.0)
    x = torch.randn(3, 6)
    assert layer.linear is linear
    assert torch.equal(layer(x), linear(x))
    assert count_parameters(layer) == (20, 44)
    assert [id(each) for each in layer.trainable_parameters()] == [id(layer.lora_A), id(layer.lora_B)]
    with_bias = LoRALayer.around(nn.Linear(6, 4), train_bias=True)
    assert with_bias.linear.bias.requires_grad
    with pytest.raises(
        ValueError, match="train_bias is True: it must be false, as the linear layer has no bias"
    ):
        LoRALayer.around(linear, train_bias=True)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (("query",), "targets has 'query': it must name a linear layer, as q_proj"),
        ("q_proj", r"targets is 'q_proj': it must be a list of names"),
        (("norm",), "targets has 'norm'"),
    ],
)
def test_an_unknown_module_is_told(targets: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        adapt(load_network("words"), targets)


def test_the_module_names_are_the_models() -> None:
    linear = [path for path, module in load_network("words").named_modules() if isinstance(module, nn.Linear)]
    assert [path_of(module) for module in MODULES] == linear

"""Is a dashed line an exact floor? Of deep linear networks, and of the head on frozen features."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from lora_core.network import NetworkExperiment, adapt, load_network
from lora_core.network.data import task_of
from lora_core.network.floors import (
    SPLITS,
    deep_linear_problem,
    head_features,
    head_floor,
    train_deep_linear,
    trained_deep_linear,
)
from lora_core.network.run import run_lane
from lora_core.network.sweeps import cut_full, module_plan, rank_for, spectra, spending_plan, sweep


@pytest.mark.parametrize("seed", [0, 1])
def test_ranks_of_the_layers_of_a_deep_linear_network_add_up(seed: int) -> None:
    problem = deep_linear_problem(seed)
    floors = problem.floors()
    for ranks in ((0, 0, 0), (1, 1, 0), (0, 2, 0), (1, 1, 1), (2, 2, 1)):
        assert abs(train_deep_linear(problem, ranks) - floors[sum(ranks)]) < 1e-10
    assert floors[2] < 0.5 * floors[1]
    with pytest.raises(ValueError, match=r"ranks is \(1, 1\): it must be 3 ranks of at least 0"):
        train_deep_linear(problem, (1, 1))


def test_the_companion_grows_split_by_split() -> None:
    first, second, *_ = trained_deep_linear()
    assert not first.complete
    assert first.splits == second.splits == SPLITS
    assert abs(first.reached[0] - first.floors[0]) < 1e-12


def test_no_adapter_of_the_head_goes_below_its_floor() -> None:
    experiment = NetworkExperiment(targets="head", rank=26)
    floor = head_floor(experiment, 60)
    model = adapt(load_network("words"), ("lm_head",), 26, 16.0)
    features, targets = head_features(load_network("words"), task_of("words", "italian").train)
    features = features.float()
    adam = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], 5e-3)
    for _ in range(150):
        adam.zero_grad()
        loss = functional.cross_entropy(model.lm_head(features), targets)
        loss.backward()
        adam.step()
    assert floor < float(loss.detach()) < 1.04 * floor
    with pytest.raises(ValueError, match="network is 'copier'"):
        head_floor(replace(experiment, network="copier"))


def test_the_cut_of_full_fine_tuning_is_what_it_says() -> None:
    experiment = NetworkExperiment(updates=10, batch=8)
    full = run_lane(experiment, full=True)
    losses, accuracies = cut_full(experiment, full, (0, 4, 48))
    assert losses[0] == pytest.approx(full.test_loss[0], abs=1e-6)
    assert losses[2] == pytest.approx(full.test_loss[-1], abs=1e-5)
    assert accuracies[2] == pytest.approx(full.accuracy[-1], abs=1e-3)
    energies = spectra(full)
    assert len(energies) == 12
    assert all(energy.sum() == pytest.approx(1.0) for energy in energies.values())
    assert all((energy[:-1] >= energy[1:]).all() for energy in energies.values())


def test_a_sweep_trains_each_module_alone_as_a_run_does() -> None:
    experiment = NetworkExperiment(network="copier", updates=10, batch=8)
    plan = module_plan(experiment)
    assert len(plan) == 13
    assert {lane.trainable() for lane in plan[0]} == {64, 256, 1024}
    found = sweep(plan[:2])
    assert found.complete
    assert found.progress == 1.0
    for lane, loss in zip(found.lanes, found.test_loss, strict=True):
        assert loss == pytest.approx(run_lane(lane).test_loss[-1], abs=1e-5)


def test_equal_numbers_are_about_equal() -> None:
    experiment = NetworkExperiment()
    plan = spending_plan(experiment)
    assert [stack[0].targets for stack in plan] == ["qv", "attention", "mlp", "all"]
    assert all(abs(lane.trainable() / experiment.trainable() - 1) < 0.1 for stack in plan for lane in stack)
    assert rank_for("words", "qv", 10**6) == 64

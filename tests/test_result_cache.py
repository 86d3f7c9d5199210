"""Queue and result cache, without a page: the order of slots, results trained once, errors and eviction."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import streamlit as st
from torch import nn

from lora_core import Experiment, run
from pages.runtime import result_cache
from pages.runtime.queue import MOST_BEFORE_A_PIECE, QUICK, BusyError, ComputeQueue, NoMemoryError, setting
from pages.runtime.result_cache import MOST_GROWING, ResultCache, size_of
from pages.runtime.runs import RUNS, advance_run, work


@dataclass
class Piece:
    """A made-up result of so many steps, with an array that takes memory."""

    key: int
    done: int
    total: int
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(1000))

    @property
    def complete(self) -> bool:
        return self.done == self.total


class Kitchen:
    """Results of ``steps`` pieces; notes how often each is begun and how many steps were trained."""

    def __init__(
        self, steps: int = 3, seconds: float = 0.0, *, is_quick: bool = True, kilobytes: int = 1000,
        gives_way: bool = False,
    ) -> None:  # fmt: skip
        self.begun: list[int] = []
        self.trained = 0
        self.steps, self.seconds = steps, seconds
        self.shared: ResultCache[int, Piece] = ResultCache(
            self.train, is_quick=lambda key: is_quick, slow_start=lambda key: False, megabytes=1,
            gives_way=gives_way,
        )  # fmt: skip
        self.shared._capacity = kilobytes * 1000

    def train(self, key: int) -> Iterator[Piece]:
        self.begun.append(key)
        for step in range(1, self.steps + 1):
            time.sleep(self.seconds)
            self.trained += 1
            yield Piece(key, step, self.steps)


@pytest.fixture(autouse=True)
def visitor() -> Iterator[Callable[[str], None]]:
    """A session of its own; ``visitor(name)`` is another visitor from then on."""

    def become(name: str) -> None:
        for key in list(st.session_state):
            del st.session_state[key]
        st.session_state["visitor"] = name

    become("first")
    yield become
    become("last")


def together(*calls: Callable[[], object]) -> None:
    threads = [threading.Thread(target=each) for each in calls]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def test_a_slot_goes_to_the_earliest_request_whatever_the_order_of_arrival() -> None:
    compute, served = ComputeQueue(), []

    def ask(name: str, due: float) -> None:
        with compute.slot(due, patience=10):
            served.append(name)

    with compute.slot():
        threads = [
            threading.Thread(target=ask, args=each)
            for each in (("stream", 9.0), ("late", 5.0), ("early", 1.0))
        ]
        for each in threads:
            each.start()
        while len(compute) < 4:
            time.sleep(0.01)
    for each in threads:
        each.join()
    assert served == ["early", "late", "stream"]
    assert len(compute) == 0


def test_a_piece_gives_way_to_some_moments_and_then_has_its_turn() -> None:
    compute, served = ComputeQueue(), []

    def ask(name: str, since: float, piece: bool) -> None:
        with compute.slot(since, patience=10, piece=piece):
            served.append(name)

    moments = MOST_BEFORE_A_PIECE + 1
    with compute.slot():
        threads = [threading.Thread(target=ask, args=("piece", 0.0, True))]
        threads += [threading.Thread(target=ask, args=("moment", 1.0 + i, False)) for i in range(moments)]
        for each in threads:
            each.start()
        while len(compute) < 2 + moments:
            time.sleep(0.01)
    for each in threads:
        each.join()
    assert served == ["moment"] * MOST_BEFORE_A_PIECE + ["piece", "moment"]


def test_who_needs_a_moment_waits_for_one_piece_of_a_sweep_and_not_for_all() -> None:
    long, short = Kitchen(steps=40, seconds=0.03, gives_way=True), Kitchen(steps=1)
    sweep = threading.Thread(target=long.shared.finished, args=(1,))
    sweep.start()
    while not long.trained:
        time.sleep(0.001)
    assert short.shared.finished(2) is not None
    assert long.trained <= 3
    sweep.join()
    assert long.begun == [1]
    assert long.shared.kept(1) is not None


def test_what_was_trained_before_a_wait_in_vain_is_there_for_the_next_request(monkeypatch) -> None:
    kitchen, taken = Kitchen(steps=5, gives_way=True), []
    free = QUICK.slot

    def crowded(*args: object, **options: object) -> object:
        taken.append(args)
        if len(taken) == 3:
            raise BusyError(1)
        return free(*args, **options)

    monkeypatch.setattr(QUICK, "slot", crowded)
    assert kitchen.shared.finished(1) is None
    assert kitchen.trained == 2
    assert kitchen.shared.finished(1) is not None
    assert (kitchen.begun, kitchen.trained) == ([1], 5)


def test_a_wait_that_lasts_and_a_full_queue_raise() -> None:
    compute = ComputeQueue(most=1)
    with compute.slot():
        start = time.monotonic()
        with pytest.raises(BusyError) as told, compute.slot(patience=0.2):
            pass
        assert 0.2 <= time.monotonic() - start < 2
        assert told.value.ahead == 2
        waiting = threading.Thread(target=lambda: compute.slot(patience=5).__enter__())
        waiting.start()
        while len(compute) < 2:
            time.sleep(0.01)
        start = time.monotonic()
        with pytest.raises(BusyError), compute.slot(patience=5):
            pass
        assert time.monotonic() - start < 1
    waiting.join()


def test_a_brief_result_is_trained_once_for_all_who_want_it() -> None:
    kitchen, found = Kitchen(seconds=0.05), []
    together(*[lambda: found.append(kitchen.shared.finished(7)) for _ in range(12)])
    assert kitchen.begun == [7]
    assert len({id(each) for each in found}) == 1
    assert found[0].complete


def test_a_growing_result_is_one_for_all_and_each_tick_takes_it_further(visitor) -> None:
    kitchen = Kitchen(steps=40, seconds=0.02, is_quick=False)
    first = kitchen.shared.advance(1, "run")
    visitor("second")
    assert kitchen.shared.advance(1, "run") is first  # what is there already is drawn before more is trained
    then = kitchen.shared.advance(1, "run")
    assert kitchen.begun == [1]
    assert 0 < first.done < then.done < 40
    assert kitchen.shared.finished(1) is None
    while not then.complete:
        then = kitchen.shared.advance(1, "run")
    assert kitchen.trained == 40
    assert kitchen.shared.finished(1) is then


def test_a_visitor_grows_one_at_a_time_and_another_in_its_place_cancels_it() -> None:
    kitchen = Kitchen(steps=100, seconds=0.01, is_quick=False)
    for key in range(3 * MOST_GROWING):
        kitchen.shared.advance(key, "run")
    assert len(kitchen.shared._growing) == 1


def test_one_more_than_may_grow_is_told_and_gets_the_place_of_one_who_left(visitor, monkeypatch) -> None:
    kitchen = Kitchen(steps=100, seconds=0.01, is_quick=False)
    for key in range(MOST_GROWING):
        visitor(f"visitor {key}")
        kitchen.shared.advance(key, "run")
    visitor("one more")
    with pytest.raises(BusyError) as told:
        kitchen.shared.advance(99, "run")
    assert told.value.ahead == MOST_GROWING
    monkeypatch.setattr(result_cache, "ABSENT", -1.0)  # as if all had been silent for long
    assert kitchen.shared.advance(99, "run").done > 0
    assert len(kitchen.shared._growing) == MOST_GROWING
    assert 0 not in kitchen.shared._growing


def test_what_was_not_asked_for_longest_makes_room() -> None:
    kitchen = Kitchen(kilobytes=25)  # three results of 8 kB each
    for key in (1, 2, 3, 1, 4):
        kitchen.shared.finished(key)
    assert [kitchen.shared.kept(key) is not None for key in (1, 2, 3, 4)] == [True, False, True, True]
    small = Kitchen(kilobytes=1)
    assert small.shared.finished(1) is small.shared.kept(1)  # one stays, however large


def test_a_training_that_fails_is_begun_anew() -> None:
    kitchen = Kitchen()

    def broken(key: int) -> Iterator[Piece]:
        yield next(kitchen.train(key))
        raise ZeroDivisionError

    honest, kitchen.shared._train = kitchen.shared._train, broken
    with pytest.raises(ZeroDivisionError):
        kitchen.shared.finished(5)
    kitchen.shared._train = honest
    found = kitchen.shared.finished(5)
    assert found is not None
    assert found.complete


@pytest.mark.parametrize("is_quick", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8.00 GiB for an array"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 GB"),
    ],
)
def test_a_training_that_lacks_memory_is_not_tried_at_each_request(
    error: Exception, is_quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kitchen = Kitchen(is_quick=is_quick)

    def hungry(key: int) -> Iterator[Piece]:
        kitchen.begun.append(key)
        raise error
        yield

    honest, kitchen.shared._train = kitchen.shared._train, hungry
    for _ in range(20):
        with pytest.raises(NoMemoryError):
            kitchen.shared.advance(5, "run")
    assert kitchen.shared.finished(5) is None
    assert kitchen.begun == [5]
    kitchen.shared._train = honest
    assert kitchen.shared.advance(6, "run").done
    monkeypatch.setattr(result_cache, "AGAIN", -1.0)  # as if a minute had passed
    assert kitchen.shared.advance(5, "run").done


def test_who_waited_for_a_training_that_failed_begins_anew_and_is_served() -> None:
    kitchen, found, told = Kitchen(seconds=0.02), [], []
    honest = kitchen.shared._train

    def broken_once(key: int) -> Iterator[Piece]:
        kitchen.shared._train = honest
        time.sleep(0.2)  # until the others wait
        yield Piece(key, 1, kitchen.steps)
        raise ZeroDivisionError

    def ask() -> None:
        try:
            found.append(kitchen.shared.finished(7))
        except ZeroDivisionError as error:
            told.append(error)

    kitchen.shared._train = broken_once
    together(*[ask] * 6)
    assert len(told) == 1
    assert len({id(each) for each in found}) == 1
    assert found[0].complete
    assert kitchen.begun == [7]


def test_what_is_measured_may_change_meanwhile() -> None:
    result = Piece(1, 1, 1)

    class Restless(nn.Module):
        def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
            result.__dict__["computed meanwhile"] = 1
            return super().parameters(recurse)

    result.__dict__ |= {"layer": Restless(), "behind it": np.zeros(10)}
    assert size_of(result) == 1010 * 8


def test_a_run_that_grew_is_the_run_to_the_bit_and_its_size_is_that_of_its_arrays() -> None:
    experiment = Experiment(in_features=24, out_features=12, epochs=2000, rank=60)
    found = advance_run(experiment)
    while not found.complete:
        found = advance_run(experiment)
    assert found.fingerprint == run(experiment).fingerprint
    assert RUNS.kept(experiment) is found
    problem = found.problem
    arrays = [problem.X, problem.Y, problem.X_test, problem.Y_test, problem.base.weight, problem.base.bias]
    least = sum(each.nbytes for each in arrays)
    least += sum(
        each.A.nbytes + each.B.nbytes for each in found.lora.snapshots.values() if each.B is not None
    )
    assert least < size_of(found) < 2 * least
    assert work(experiment) > 0


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1.5", "٣"])
def test_a_setting_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LORA_MOST_WAITING", text)
    with pytest.raises(ValueError, match=r"LORA_MOST_WAITING is .* whole number from 1"):
        setting("MOST_WAITING", 24)
    monkeypatch.delenv("LORA_MOST_WAITING")
    assert setting("MOST_WAITING", 7) == 7

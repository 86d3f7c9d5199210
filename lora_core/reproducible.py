"""Reproducible results under threads: sums in one order, and no lock shared between objects.

With more than one thread a product is split by the number of cores, and its last bits depend on that number.
The products of small layers are also slower on two threads than on one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class computed_once(Generic[T]):
    """``functools.cached_property`` without the lock that Python 3.11 shares among all objects of a class.

    That lock makes one thread wait for a small layer's floors while another computes those of a large one.
    Python 3.12 removed it, but there two threads may get different objects. Here two threads may both
    compute, and both get the object that was stored first.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        # A non-data descriptor: called only while the object's own dictionary has no entry of this name.
        return instance.__dict__.setdefault(self.name, self.compute(instance))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block, or as a decorator a function, with torch on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""What threads need: sums in one order, and no lock that strangers share.

With more than one thread a product is split by the number of cores and its last bits follow that number; and
the products of small layers are slower on two threads than on one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class computed_once(Generic[T]):
    """``functools.cached_property`` without its lock, which Python 3.11 shares among all objects of a class.

    With it, whoever asked for a small layer's floors waited for those of a large one. Here two threads that
    ask at once may both compute, and have the same object afterwards.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        # Asked only as long as the object's own dictionary has nothing by this name.
        return instance.__dict__.setdefault(self.name, self.compute(instance))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread for a while; also a decorator."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""One thread, so that the same sums are added in the same order on every machine of a kind.

With more, a product is split by the number of cores and its last bits follow that number; and the products
of small layers are slower on two threads than on one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread for a while; also a decorator."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

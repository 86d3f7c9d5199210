"""What holds for every test: one thread, and which tests want the machine for themselves.

Small products on two threads wait for each other, and on a busy machine a test of the plain loop then takes
minutes. The playground's server and ``lora_core`` compute on one as well.
"""

from pathlib import Path

import pytest
import torch

LOAD = Path(__file__).parent / "load"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What holds a time to its limit, in a browser or in a crowd, is marked `alone`."""
    for item in items:
        if "within" in getattr(item, "fixturenames", ()) or item.path.is_relative_to(LOAD):
            item.add_marker("alone")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)

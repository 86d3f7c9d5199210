"""What holds for every test: one thread, and the same examples of hypothesis on every machine.

Small products on two threads wait for each other, and on a busy machine a test of the plain loop then takes
minutes. The playground's server and ``lora_core`` compute on one as well.
"""

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "the same everywhere",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
settings.load_profile("the same everywhere")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what holds a time to its limit: such tests run one by one, with the machine to themselves."""
    for item in items:
        if "within" in getattr(item, "fixturenames", ()) or item.path.name == "test_load.py":
            item.add_marker("timed")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)

"""What holds for every test: one thread, and the same examples of hypothesis on every machine.

Small products on two threads wait for each other, and on a busy machine a test of the plain loop then takes
minutes. The playground's server and ``lora_core`` compute on one as well.

Every new session of AppTest looks for components in the metadata of all installed packages, which takes
longer than to draw the playground. What is installed does not change meanwhile, so one look is enough.
"""

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, settings
from streamlit.components.v2 import manifest_scanner

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


@pytest.fixture(scope="session", autouse=True)
def one_scan() -> Iterator[None]:
    """The scan of installed packages, done by the first session; each does its own in streamlit 1.67.0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests)
        )
        yield

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
    """Mark what holds a time to its limit, and what stays together on one worker.

    Timed tests run one by one, with the machine to themselves. Browser tests of a file share tabs; those of
    each page's look share none, and fill up whichever worker is done first.
    """
    for item in items:
        if "within" in getattr(item, "fixturenames", ()) or item.path.name == "test_load.py":
            item.add_marker("timed")
        if item.path.parent.name == "browser" and item.path.name != "test_all_pages.py":
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    items.sort(key=lambda item: item.path.name == "test_all_pages.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded "to be read", also by the processes that share them."""
    for reports in terminalreporter.stats.values():
        for report in (one for one in reports if getattr(one, "when", "") == "call"):
            for name, words in getattr(report, "user_properties", ()):
                if name == "to be read":
                    terminalreporter.write_line(f"\n{report.nodeid}\n{words}")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)

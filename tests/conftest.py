"""One thread for every test: small products on two threads wait for each other, and on a busy machine a test
of the plain loop then takes minutes. The playground's server and ``lora_core`` compute on one as well."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)

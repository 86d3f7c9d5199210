"""Servers on this machine: a free port, and whether a server is healthy; the standard library is enough."""

import socket
import urllib.request


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(address: str) -> bool:
    """Whether the Streamlit server at an address answers that it is ready."""
    try:
        urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
    except OSError:  # URLError is one
        return False
    return True

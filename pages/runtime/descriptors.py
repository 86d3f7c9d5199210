"""Room for the file descriptors of many open pages: Streamlit takes four for each.

A socket to the browser, and the three of its session's event loop (``AppSession``, seen in Streamlit 1.67.0);
under the usual soft limit of 1,024 some 250 open pages would be the last.
"""

import resource
from contextlib import suppress
from functools import lru_cache

MOST = 65_536
"""Enough for 16,000 pages; a system without a hard limit may name a number that it does not grant."""


@lru_cache(maxsize=1)
def raise_descriptor_limit() -> None:
    """Raise the process's soft limit of open files to its hard one; once a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # not granted: the limit stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

"""Callbacks that run to completion, although Streamlit may end them when a newer rerun is requested."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from streamlit.runtime.scriptrunner import RerunException

P = ParamSpec("P")


def run_to_completion(callback: Callable[P, None]) -> Callable[P, None]:
    """Call a callback again if Streamlit ends it; the callback must be idempotent.

    Every access to the session raises ``RerunException`` if a newer rerun has been requested, and Streamlit
    does not repeat the callback (streamlit issue 10578, seen in 1.67.0). The request is taken then, so
    nothing ends the second call.
    """

    @wraps(callback)
    def completed(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except RerunException:
            callback(*args, **kwargs)
            raise

    return completed

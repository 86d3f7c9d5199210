"""Callbacks that are done as a whole, whatever key or click comes meanwhile."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from streamlit.runtime.scriptrunner import RerunException

P = ParamSpec("P")


def whole(callback: Callable[P, None]) -> Callable[P, None]:
    """Let a callback come to its end.

    Where it looks into the session Streamlit ends it, half done, if a newer run is wanted by then, and does
    not call it again. So it is begun once more, as nothing newer is wanted then. To do it twice must do no
    harm.
    """

    @wraps(callback)
    def done(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except RerunException:
            callback(*args, **kwargs)
            raise

    return done

"""Callbacks that are done as a whole, whatever key or click comes meanwhile."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import streamlit as st
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


def last_told(key: str, name: str) -> Any:
    """What a component has told under a name; None too where it went with its page before its word was heard.

    On the browser's Back its callback may still be called, for a session that no longer knows it.
    """
    return st.session_state.get(key, {}).get(name)

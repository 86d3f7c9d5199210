"""Messages to the components: a figure and a header of named values, arrays as raw numbers."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go

Figure: TypeAlias = go.Figure | dict[str, Any]
"""A figure, or its plain `data` and `layout` as plotly.js takes them."""
DTYPES = ("f8", "f4", "i4", "i2", "i1")
"""Array types that `series.js` can read."""


def pack(figure: Figure, header: dict[str, Any]) -> bytes:
    """Encode a figure and the other values of its message."""
    return encode({"figure": figure.to_plotly_json() if isinstance(figure, go.Figure) else figure, **header})


def encode(message: dict[str, Any], level: int = -1) -> bytes:
    """Encode a message with raw numbers instead of base64, deflated at a ``level`` of zlib.

    Inflated: length of the JSON header (uint32, little endian), the header, padded with blanks so that the
    arrays begin at a multiple of 8 bytes, then the arrays. In the header an array reads
    `{"dtype": "f8", "bytes": [offset, length]}`.
    """
    arrays = bytearray()

    def placed(dtype: str, raw: bytes) -> dict[str, Any]:
        place = [len(arrays), len(raw)]
        arrays.extend(raw + b"\0" * (-len(raw) % 8))
        return {"dtype": dtype, "bytes": place}

    def moved(node: Any) -> Any:
        if isinstance(node, np.ndarray):
            if node.ndim > 1 or node.dtype.kind not in "bifu":
                return [moved(row) for row in node]
            known = node if node.dtype.str[1:] in DTYPES else node.astype("<f8")
            return placed(known.dtype.str[1:], known.tobytes())
        if isinstance(node, dict) and "bdata" in node:
            array = np.frombuffer(base64.b64decode(node["bdata"]), node["dtype"])
            shape = node.get("shape", str(len(array))).split(",")
            return moved(array.reshape([int(size) for size in shape]))
        if isinstance(node, dict):
            return {name: moved(value) for name, value in node.items() if name != "template"}
        if isinstance(node, list | tuple):
            return [moved(value) for value in node]
        return node

    header = moved(message)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return zlib.compress(len(text).to_bytes(4, "little") + text + bytes(arrays), level)

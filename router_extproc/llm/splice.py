"""Byte-exact edits of a JSON text: where a value lies, what goes in its place, and the text with it.

Knows JSON's members and spans; knows nothing of what they mean.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np


class Edit(NamedTuple):
    """Bytes `start` to `stop` become `replacement`."""

    start: int
    stop: int
    replacement: bytes


def span(body: bytes, raw: msgspec.Raw) -> tuple[int, int]:
    """Where in `body` the value lies: msgspec's Raw is a view of the decoder's input, not a copy.

    Raises RuntimeError if a release of msgspec copies after all, rather than cutting at a wrong place.
    """
    view = memoryview(raw)
    start = _address(view) - _address(body)
    stop = start + view.nbytes
    if start < 0 or body[start:stop] != view:
        raise RuntimeError("msgspec.Raw is no view of its input: spans cannot be found")
    return start, stop


def _address(buffer: bytes | memoryview) -> int:
    address: int = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    return address


def inserted(members: Mapping[str, object], last: bool) -> bytes:
    """The members of a JSON object, without its braces; a comma follows unless nothing else does."""
    inner = msgspec.json.encode(members)[1:-1]
    return inner if last else inner + b","


def apply(body: bytes, edits: list[Edit]) -> bytes:
    """`body` with each edit made; their spans do not overlap. Edits at one place are made in their order."""
    if not edits:
        return body
    pieces: list[bytes] = []
    done = 0
    for start, stop, replacement in sorted(edits, key=lambda edit: (edit.start, edit.stop)):
        pieces += (body[done:start], replacement)
        done = stop
    pieces.append(body[done:])
    return b"".join(pieces)

"""How much structure a JSON text has, told without decoding it.

Knows where strings begin and end; knows nothing of what is in them, and does not check the rest. Time is
linear in the bytes whatever they are, and what is held at once does not grow with them.
"""

import numpy as np

_CHUNK = 1 << 18
_QUOTE, _BACKSLASH = b'"\\'
_MARKS = b",[{"


def has_more_values(body: bytes, most: int) -> bool:
    """Whether there are more than `most` commas and opening brackets outside of strings. A text with `most`
    values has no more of them, but that an object or array counts twice where it is empty or stands first."""
    return sum(map(body.count, (b",", b"[", b"{"))) > most and _outside(body, _MARKS) > most


def members(body: bytes) -> int:
    """How many members all objects of the text have together; a name that stands twice counts twice."""
    return _outside(body, b":")


def _outside(body: bytes, marks: bytes) -> int:
    """How often one of the bytes `marks` stands outside of strings."""
    found, inside, escaped = 0, 0, False
    for start in range(0, len(body), _CHUNK):
        piece = np.frombuffer(body, np.uint8, min(_CHUNK, len(body) - start), start)
        quotes = piece == _QUOTE
        slashes = np.flatnonzero(piece == _BACKSLASH)
        if escaped:
            quotes[0] = False
            slashes = slashes[slashes > 0]
        escaped = False
        if slashes.size:
            # Of a run of backslashes each second one is itself escaped: an odd run escapes what follows it.
            first = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
            lengths = np.diff(first, append=slashes.size)
            after = (slashes[first] + lengths)[lengths % 2 == 1]
            escaped = bool(after.size) and int(after[-1]) == piece.size
            quotes[after[: after.size - escaped]] = False
        strings = np.bitwise_xor.accumulate(quotes.view(np.uint8)) ^ inside
        inside = int(strings[-1])
        found += sum(int(np.count_nonzero((piece == mark) & (strings == 0))) for mark in marks)
    return found

"""An HNSW graph (Malkov and Yashunin, arXiv 1603.09320) over the rows of a block, in faiss.

Knows rows and vectors, not entries or time. The graph keeps copies of the vectors in bfloat16, good enough to
find the neighbours and not to compare them with a threshold: whoever asks computes the similarities again.

faiss cannot remove a vector from such a graph. So a row that goes leaves a dead slot, which keeps its links
and is skipped in answers, and the owner builds a new graph when too many are dead.
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from router_extproc.base.vector import Vector

_CONNECTIVITY = 16
_EXPANSION_ADD = 160
"""Candidates kept while linking. With 128 a slot took a quarter less time, and searches of 10,000 had to keep
41 for the recall that they have with 34."""
_DENSE = 2_000
"""Slots up to which lists of links are filled with those that pruning would leave out. Searching 1,000 at the
same recall then takes 36 microseconds instead of 45, and a new slot 0.45 ms instead of 0.12. Searching 10,000
became no faster."""
_SIZES = (0, 1_000, _DENSE, 4_000, 10_000, 30_000, 100_000, 1_000_000)
_EXPANSIONS = (16, 16, 26, 32, 34, 64, 190, 500)
"""Candidates kept while searching so many slots; linear in between. Measured, for a recall@1 above 0.99, over
questions from people (up to 30,000) and made-up clusters (of 10,000 and 100,000)."""
_LINK_BYTES = 520
"""Of a slot, besides its vector: from 5,000 to 100,000 slots, 270 to 510 were resident. Right after a
doubling of its memory a graph may have more: 1,135 with 1,100 slots."""
_SLOTS = 256

_NOISE = 0.005
"""Length of what is added to a unit vector in the graph, to each another vector. Equal ones would otherwise
link to each other alone: with 300 of them among 400 others, no search found its way to one of the others."""
_SHIFTS, _STRIDE = 4096, 1009
"""So many slots in a row get noise of their own: cut from one row, at distances with no common divisor."""

NONE = -1


class Graph:
    """Finds rows by vector. Rows are what the owner calls them: each has at most one live slot.

    Calls faiss as its C++ interface is, with addresses: the Python one around it takes as long as half of a
    small search. Not for two threads at once, because the answers are written to memory kept here.
    """

    __slots__ = (
        "_answer",
        "_found",
        "_index",
        "_noise",
        "_row_of",
        "_scores",
        "_slot_of",
        "live",
        "slots",
    )

    def __init__(self, dimension: int) -> None:
        made: Any = faiss.IndexHNSWSQ  # its stub wants another second argument, and lacks the C++ interface
        self._index = made(
            dimension, faiss.ScalarQuantizer.QT_bf16, _CONNECTIVITY, faiss.METRIC_INNER_PRODUCT
        )
        self._index.hnsw.efConstruction = _EXPANSION_ADD
        noise = np.random.default_rng(0).standard_normal(dimension + _SHIFTS)
        self._noise: NDArray[np.float32] = (_NOISE / dimension**0.5 * noise).astype(np.float32)
        self._row_of: NDArray[np.intp] = np.full(_SLOTS, NONE, dtype=np.intp)
        self._slot_of: NDArray[np.intp] = np.full(_SLOTS, NONE, dtype=np.intp)
        self._found: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._scores: NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self.slots = 0
        self.live = 0
        self._search_for(1)

    def __contains__(self, row: int) -> bool:
        return row < len(self._slot_of) and bool(self._slot_of[row] != NONE)

    def put(self, row: int, vector: Vector) -> None:
        """The row has this vector from now on."""
        self.drop(row)
        slot = self.slots
        if slot == len(self._row_of):
            self._row_of = _doubled(self._row_of)
        if slot % _SLOTS == 0:
            self._search_for(len(self._found))
            self._index.keep_max_size_level0 = slot < _DENSE
        while row >= len(self._slot_of):
            self._slot_of = _doubled(self._slot_of)
        shift = slot * _STRIDE % _SHIFTS
        apart = (
            vector + self._noise[shift : shift + len(vector)]
        )  # named, because faiss gets its address only
        self._index.add_c(1, faiss.swig_ptr(apart))
        self._row_of[slot], self._slot_of[row] = row, slot
        self.slots += 1
        self.live += 1

    def drop(self, row: int) -> None:
        """Forget the row; harmless when it is not here."""
        if row in self:
            self._row_of[self._slot_of[row]] = NONE
            self._slot_of[row] = NONE
            self.live -= 1

    def move(self, row: int, to: int) -> None:
        """What was `row` is called `to` from now on, in place of what had that name."""
        self.drop(to)
        if row in self:
            slot = self._slot_of[row]
            self._slot_of[to], self._slot_of[row] = slot, NONE
            self._row_of[slot] = to

    def nearest(self, vector: Vector, count: int) -> NDArray[np.intp]:
        """Most of the `count` nearest slots' rows, without those of dead slots; nearest first, roughly.

        `vector` is contiguous, in float32, of the graph's dimension.
        """
        if count != len(self._found):
            self._search_for(count)
        self._index.search_c(1, faiss.swig_ptr(vector), count, *self._answer)
        slots = self._found
        if slots.item(-1) < 0:  # fewer than asked for
            slots = slots[slots >= 0]
        rows: NDArray[np.intp] = self._row_of[slots]
        return rows if self.live == self.slots else rows[rows != NONE]

    def _search_for(self, count: int) -> None:
        """Make ready for searches that ask for so many; most ask for as many as the one before."""
        if count != len(self._found):
            self._found = np.empty(count, dtype=np.int64)
            self._scores = np.empty(count, dtype=np.float32)
            self._answer = faiss.swig_ptr(self._scores), faiss.swig_ptr(self._found)
        # faiss raises this to the count for its list of candidates, and not where it decides to stop.
        self._index.hnsw.efSearch = max(_expansion(self.slots), count)


def slot_bytes(dimension: int) -> int:
    """The memory of one slot."""
    return 2 * dimension + _LINK_BYTES


def _expansion(slots: int) -> int:
    return int(np.interp(slots, _SIZES, _EXPANSIONS))


def _doubled(numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([numbers, np.full(len(numbers), NONE, dtype=np.intp)])

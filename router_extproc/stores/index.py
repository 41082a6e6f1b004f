"""An HNSW graph (Malkov and Yashunin, arXiv 1603.09320) over the rows of a block, in usearch.

Knows rows and vectors, not entries or time. The graph keeps copies of the vectors in bfloat16, good enough to
find the neighbours and not to compare them with a threshold: whoever asks computes the similarities again.

A slot of the graph is never used twice. usearch can remove a vector and give its slot to the next one, but
links the newcomer badly: after one turnover of 5,000 vectors recall@1 fell from 1.00 to 0.97 and stayed
there. So a row that goes leaves a dead slot, which keeps its links and is skipped in answers, and the owner
builds a new graph when too many are dead.
"""

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.vector import Vector

_CONNECTIVITY = 16
_EXPANSION_ADD = 128
"""Candidates kept while linking. With 64, recall@1 of 100,000 clustered vectors was 0.98 where 128 gave
0.997, for half the time."""
_SIZES = (0, 2_000, 10_000, 30_000, 100_000, 1_000_000)
_EXPANSIONS = (22, 24, 41, 80, 170, 500)
"""Candidates kept while searching so many slots; linear in between. Measured, for a recall@1 of 0.99, over
questions from people (up to 30,000) and made-up clusters (of 100,000, 103 found 0.982, 160 found 0.990)."""
_LINK_BYTES = 320
"""Of a slot, besides its vector: measured 200 to 300."""
_SLOTS = 256

_NOISE = 0.005
"""Length of what is added to a unit vector in the graph, to each another vector. Equal ones would otherwise
link to each other alone: with 300 of them among 400 others, no search found its way to one of the others."""
_SHIFTS, _STRIDE = 4096, 1009
"""So many slots in a row get noise of their own: cut from one row, at distances with no common divisor."""

NONE = -1


class Graph:
    """Finds rows by vector. Rows are what the owner calls them: each has at most one live slot.

    Uses usearch's compiled class: the Python one around it takes a quarter of the time of a small search.
    """

    __slots__ = ("_index", "_noise", "_row_of", "_slot_of", "live", "slots")

    def __init__(self, dimension: int) -> None:
        # Imported when the first graph is made, long after onnxruntime: usearch's extension brings a C++
        # runtime of its own, and onnxruntime's crashes when it is loaded after it (usearch 2.26, onnxruntime
        # 1.32; the other order is sound).
        from usearch.compiled import Index, MetricKind, ScalarKind

        self._index = Index(
            ndim=dimension,
            metric_kind=MetricKind.IP,
            dtype=ScalarKind.BF16,
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_expansion(0),
            enable_key_lookups=False,
        )
        noise = np.random.default_rng(0).standard_normal(dimension + _SHIFTS)
        self._noise: NDArray[np.float32] = (_NOISE / dimension**0.5 * noise).astype(np.float32)
        self._row_of: NDArray[np.intp] = np.full(_SLOTS, NONE, dtype=np.intp)
        self._slot_of: NDArray[np.intp] = np.full(_SLOTS, NONE, dtype=np.intp)
        self.slots = 0
        self.live = 0

    def __contains__(self, row: int) -> bool:
        return row < len(self._slot_of) and bool(self._slot_of[row] != NONE)

    def put(self, row: int, vector: Vector) -> None:
        """The row has this vector from now on."""
        self.drop(row)
        slot = self.slots
        if slot == len(self._row_of):
            self._row_of = _doubled(self._row_of)
        if slot % _SLOTS == 0:
            self._index.expansion_search = _expansion(slot)
        while row >= len(self._slot_of):
            self._slot_of = _doubled(self._slot_of)
        shift = slot * _STRIDE % _SHIFTS
        apart = vector + self._noise[shift : shift + len(vector)]
        self._index.add_many(np.array([slot], dtype=np.uint64), apart[np.newaxis], threads=1)
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
        """Most of the `count` nearest slots' rows, without those of dead slots; nearest first, roughly."""
        keys, _, counts, _, _ = self._index.search_many(vector[np.newaxis], count, threads=1)
        slots = keys.view(np.int64)[0]  # NumPy takes signed numbers without converting them
        rows: NDArray[np.intp] = self._row_of.take(slots if counts[0] == count else slots[: counts[0]])
        return rows if self.live == self.slots else rows[rows != NONE]


def slot_bytes(dimension: int) -> int:
    """The memory of one slot."""
    return 2 * dimension + _LINK_BYTES


def _expansion(slots: int) -> int:
    return int(np.interp(slots, _SIZES, _EXPANSIONS))


def _doubled(numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate([numbers, np.full(len(numbers), NONE, dtype=np.intp)])

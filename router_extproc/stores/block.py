"""The rows of one partition, and the two ways to find the most similar ones.

A small block is searched by exact brute force. From `graph_from` rows on it has a graph as well, which is
built a few rows per write while brute force goes on answering, so that no write holds the event loop for
long. The graph only proposes rows: whether they are alive, and how similar they are, is read from the rows
themselves. Where it proposes too few live ones, brute force answers.
"""

import math

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.stores.index import Graph, slot_bytes

GRAPH_FROM = 700
"""Rows. With 384 components, both ways take the same time between 700 and 900, when the graph is ready."""

_STRIPE = 512
"""Rows per product. OpenBLAS hands a larger one to several threads, which on a busy machine costs far more
than it brings: 10,000 x 384 at once took 16 ms (p50), in stripes 2.1 ms, with both cores busy."""
_ROWS_PER_WRITE = 4
"""Rows that one write adds to an unfinished graph, at 0.1 to 0.8 ms each."""
_SPARE = 3
"""Proposals asked for beyond the limit: they make up for the graph's rough order."""
_SPARE_FOR_DEAD = 12
"""The same where some slots are dead."""
_FEW = 50
"""Scores sorted at once. Of more, the highest are picked first."""
_FEW_WANTED = 8
"""Looking for the highest that many times is faster than a partition."""
_WIDER = 8
"""Times as many, in the second attempt."""
_SPARSE = 8
"""Slots per row from which a graph is given up at once. Brute force over so few rows is cheap."""


def index_bytes(dimension: int) -> int:
    """The most graph memory per row while entries come and go one by one: 1.75 slots in the old graph and
    1.25 in the one that is replacing it. On average it is half of that."""
    return 3 * slot_bytes(dimension)


class Block:
    """The rows of one partition: `entries[i]` belongs to `vectors[i]` and `expires_at[i]`, i < len(entries).

    Grows by doubling and shrinks at a quarter, so it holds at most four times its rows.
    """

    __slots__ = (
        "_expires_at",
        "_graph",
        "_graph_from",
        "_next_graph",
        "_row_of",
        "_soonest",
        "_todo",
        "_vectors",
        "entries",
    )

    def __init__(self, dimension: int, graph_from: int = GRAPH_FROM) -> None:
        self.entries: list[Entry] = []
        self._row_of: dict[str, int] = {}
        self._vectors: NDArray[np.float32] = np.empty((1, dimension), dtype=np.float32)
        self._expires_at: NDArray[np.float64] = np.empty(1, dtype=np.float64)
        self._soonest = np.inf
        """No row expires before this."""
        self._graph_from = graph_from
        self._graph: Graph | None = None
        """Has every row."""
        self._next_graph: Graph | None = None
        """Will replace it; has every row from `_todo` on."""
        self._todo = 0

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._row_of

    @property
    def is_indexed(self) -> bool:
        """Whether a graph proposes rows."""
        return self._graph is not None

    @property
    def slots(self) -> int:
        """Slots of all graphs held now, dead ones included."""
        return sum(graph.slots for graph in self._graphs())

    def write(self, entry: Entry) -> None:
        row = self._row_of.get(entry.id)
        self._soonest = min(self._soonest, entry.expires_at)
        if row is not None and np.array_equal(self._vectors[row], entry.vector):
            self.entries[row], self._expires_at[row] = entry, entry.expires_at
            return  # the usual replacement, the same question: it must not wear the graph out
        if row is None:
            row = len(self.entries)
            if row == len(self._vectors):
                self._resize(2 * row)
            self.entries.append(entry)
            self._row_of[entry.id] = row
        self.entries[row] = entry
        self._vectors[row] = entry.vector
        self._expires_at[row] = entry.expires_at
        for graph in self._graphs():
            graph.put(row, self._vectors[row])
        self._build()

    def remove(self, entry_id: str) -> None:
        row, last = self._row_of.pop(entry_id), len(self.entries) - 1
        if row != last:
            moved = self.entries[last]
            self.entries[row], self._row_of[moved.id] = moved, row
            self._vectors[row], self._expires_at[row] = self._vectors[last], self._expires_at[last]
        self.entries.pop()
        self._todo = min(self._todo, last)
        for graph in self._graphs():
            if row == last:
                graph.drop(row)
            else:
                graph.move(last, row)
        if last < self._graph_from // 2:
            self._next_graph = None
        if self._graph is not None and (last < self._graph_from // 2 or self._graph.slots > _SPARSE * last):
            self._graph = None
        if 0 < last <= len(self._vectors) // 4:
            self._resize(len(self._vectors) // 2)

    def nearest(self, vector: Vector, limit: int, at: float) -> list[Candidate]:
        """The `limit` most similar rows' entries that are alive at `at`, best first, with their dot products.

        `vector` is contiguous, in float32.
        """
        if self._graph is not None:
            some = limit + (_SPARE if self._graph.live == self._graph.slots else _SPARE_FOR_DEAD)
            for count in (some, _WIDER * some):
                rows = self._graph.nearest(vector, count)
                if at >= self._soonest:
                    rows = rows[self._expires_at[rows] > at]
                if len(rows) >= limit:
                    return self._best(rows, self._vectors.take(rows, 0).dot(vector), limit)
        return self._exact(vector, limit, at)

    def _exact(self, vector: Vector, limit: int, at: float) -> list[Candidate]:
        count = len(self.entries)
        if at < self._soonest:
            return self._best(None, _products(self._vectors[:count], vector), limit)
        live = np.flatnonzero(self._expires_at[:count] > at)
        self._soonest = float(self._expires_at[:count].min(initial=np.inf))
        if 2 * len(live) < count:
            return self._best(live, _products(self._vectors, vector, live), limit)
        return self._best(live, _products(self._vectors[:count], vector)[live], limit)

    def _best(
        self, rows: NDArray[np.intp] | None, scores: NDArray[np.float32], limit: int
    ) -> list[Candidate]:
        """The `limit` highest of `scores`, which belong to `rows`, or to all rows in order."""
        if len(scores) <= _FEW and rows is not None:
            ranked = list(zip(scores.tolist(), rows.tolist(), strict=True))
            ranked.sort(reverse=True)
            del ranked[limit:]
        else:
            if limit <= _FEW_WANTED:
                order = _highest(scores, limit)
            else:
                some = np.argpartition(scores, max(0, len(scores) - limit))[-limit:]
                order = some[(-scores[some]).argsort(kind="stable")]
            found = order if rows is None else rows[order]
            ranked = list(zip(scores[order].tolist(), found.tolist(), strict=True))
        entries = self.entries
        return [
            Candidate(entries[row], score if -1.0 <= score <= 1.0 else math.copysign(1.0, score))
            for score, row in ranked
        ]

    def _graphs(self) -> list[Graph]:
        return [graph for graph in (self._graph, self._next_graph) if graph is not None]

    def _build(self) -> None:
        """A bounded step towards a graph, where one is missing or half of its size is dead slots."""
        if self._next_graph is None:
            rows, graph = len(self.entries), self._graph
            if rows < self._graph_from or (graph is not None and 2 * (graph.slots - rows) <= rows):
                return
            self._next_graph, self._todo = Graph(self._vectors.shape[1]), rows
        for _ in range(min(_ROWS_PER_WRITE, self._todo)):
            self._todo -= 1
            if self._todo not in self._next_graph:  # a row that moved here may have come with its slot
                self._next_graph.put(self._todo, self._vectors[self._todo])
        if self._todo == 0:
            self._graph, self._next_graph = self._next_graph, None

    def _resize(self, capacity: int) -> None:
        count = len(self.entries)
        vectors = np.empty((capacity, self._vectors.shape[1]), dtype=np.float32)
        expires_at = np.empty(capacity, dtype=np.float64)
        vectors[:count], expires_at[:count] = self._vectors[:count], self._expires_at[:count]
        self._vectors, self._expires_at = vectors, expires_at


def _highest(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Where the `count` highest are, highest first."""
    left = scores.copy()
    found = np.empty(min(count, len(scores)), dtype=np.intp)
    for i in range(len(found)):
        found[i] = left.argmax()
        left[found[i]] = -np.inf
    return found


def _products(
    vectors: NDArray[np.float32], vector: Vector, rows: NDArray[np.intp] | None = None
) -> NDArray[np.float32]:
    """The dot products of all or the named `vectors` with `vector`."""
    count = len(vectors) if rows is None else len(rows)
    products = np.empty(count, dtype=np.float32)
    for start in range(0, count, _STRIPE):
        stop = min(start + _STRIPE, count)
        stripe = vectors[start:stop] if rows is None else vectors[rows[start:stop]]
        np.dot(stripe, vector, out=products[start:stop])
    return products

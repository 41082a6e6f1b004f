"""What a lookup in memory is compared with: this router's store, and libraries that could be under it.

Every subject answers one query at a time with one thread. Libraries that are installed for the comparison
only (`pip install 'router-extproc[bench]'`) are imported when their turn comes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from bench.vectors import DIMENSION, Matrix
from router_extproc.base.completion import Completion
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.stores.memory import MemoryStore

LIMIT = 5
PARTITION = "0f"
NOW = 1_700_000_000.0
_M = 16
_CONSTRUCTION = 128
_STRIPE = 512


class Subject(Protocol):
    """`settings` are the search efforts to choose from, least first; one or none means there is no choice."""

    name: str
    settings: Sequence[int]

    def build(self, vectors: Matrix) -> None: ...

    def set(self, setting: int) -> None: ...

    async def nearest(self, vector: Matrix) -> Any: ...

    def rows(self, found: Any) -> Sequence[int]:
        """The rows in what `nearest` returned."""
        ...


class Base(Subject):
    settings: Sequence[int] = ()

    def set(self, setting: int) -> None:
        return None

    def rows(self, found: Any) -> Sequence[int]:
        return [int(row) for row in found if row >= 0]


class Ours(Base):
    name = "router-extproc"

    def build(self, vectors: Matrix) -> None:
        self._store = MemoryStore(DIMENSION, len(vectors), 1 << 40, "lru")
        for row, vector in enumerate(vectors):
            self._store.insert(entry(row, vector))

    async def nearest(self, vector: Matrix) -> Sequence[Candidate]:
        return await self._store.nearest(PARTITION, vector, LIMIT, NOW)

    def rows(self, found: Sequence[Candidate]) -> Sequence[int]:
        return [int(candidate.entry.id, 16) for candidate in found]


class Numpy(Base):
    name = "numpy"

    def build(self, vectors: Matrix) -> None:
        self._vectors = vectors.copy()

    async def nearest(self, vector: Matrix) -> Any:
        scores = np.empty(len(self._vectors), dtype=np.float32)
        for start in range(0, len(scores), _STRIPE):  # more rows at once would take a second thread
            stripe = slice(start, min(start + _STRIPE, len(scores)))
            np.dot(self._vectors[stripe], vector, out=scores[stripe])
        best = np.argpartition(scores, len(scores) - LIMIT)[-LIMIT:]
        return best[np.argsort(-scores[best])]


class Usearch(Base):
    name = "usearch"
    settings: Sequence[int] = (16, 24, 32, 48, 64, 96, 128, 192, 256)

    def build(self, vectors: Matrix) -> None:
        from usearch.index import Index

        self._index = Index(
            ndim=DIMENSION, metric="ip", dtype="bf16", connectivity=_M, expansion_add=_CONSTRUCTION
        )
        self._index.add(np.arange(len(vectors)), vectors)

    def set(self, setting: int) -> None:
        self._index.expansion_search = setting  # type: ignore[misc,unused-ignore]

    async def nearest(self, vector: Matrix) -> Any:
        return self._index.search(vector, LIMIT, threads=1).keys


class Hnswlib(Base):
    name = "hnswlib"
    settings: Sequence[int] = Usearch.settings

    def build(self, vectors: Matrix) -> None:
        import hnswlib  # type: ignore[import-untyped,import-not-found,unused-ignore]

        self._index = hnswlib.Index("ip", DIMENSION)
        self._index.init_index(len(vectors), M=_M, ef_construction=_CONSTRUCTION)
        self._index.add_items(vectors, np.arange(len(vectors)))

    def set(self, setting: int) -> None:
        self._index.set_ef(setting)

    async def nearest(self, vector: Matrix) -> Any:
        return self._index.knn_query(vector, LIMIT, num_threads=1)[0][0]


class _Faiss(Base, ABC):
    def build(self, vectors: Matrix) -> None:
        import faiss

        faiss.omp_set_num_threads(faiss.omp_get_max_threads())
        self._index = self._made(faiss, len(vectors))
        if not self._index.is_trained:
            self._index.train(vectors)
        self._index.add(vectors)
        faiss.omp_set_num_threads(1)

    @abstractmethod
    def _made(self, faiss: Any, count: int) -> Any:
        """An empty index for that many vectors."""

    async def nearest(self, vector: Matrix) -> Any:
        return self._index.search(vector[np.newaxis], LIMIT)[1][0]


class FaissFlat(_Faiss):
    name = "faiss flat"

    def _made(self, faiss: Any, count: int) -> Any:
        return faiss.IndexFlatIP(DIMENSION)


class FaissHnsw(_Faiss):
    name = "faiss HNSW"
    settings: Sequence[int] = Usearch.settings

    def _made(self, faiss: Any, count: int) -> Any:
        index = faiss.IndexHNSWFlat(DIMENSION, _M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _CONSTRUCTION
        return index

    def set(self, setting: int) -> None:
        self._index.hnsw.efSearch = setting


class FaissIvf(_Faiss):
    name = "faiss IVF"
    settings: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)

    def _made(self, faiss: Any, count: int) -> Any:
        lists = int(min(4 * count**0.5, count / 39))  # faiss wants 39 vectors a list to train with
        self._centres = faiss.IndexFlatIP(DIMENSION)
        return faiss.IndexIVFFlat(self._centres, DIMENSION, lists, faiss.METRIC_INNER_PRODUCT)

    def set(self, setting: int) -> None:
        self._index.nprobe = setting


SUBJECTS: Sequence[Callable[[], Subject]] = (
    Ours,
    Numpy,
    Usearch,
    Hnswlib,
    FaissFlat,
    FaissHnsw,
    FaissIvf,
)


def entry(row: int, vector: Matrix) -> Entry:
    """Row `row` as a store gets it."""
    return Entry(
        id=f"{row:x}",
        partition=PARTITION,
        tenant="",
        text=f"question {row}",
        vector=vector,
        completion=Completion(model="m", content="An answer.", finish_reason="stop"),
        model="m",
        category="other",
        reasoning=False,
        created_at=NOW,
        expires_at=NOW + 1e8,
    )

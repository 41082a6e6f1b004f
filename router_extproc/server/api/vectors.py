"""`/api/v1/embeddings` and `/api/v1/similarity`: the sentence vectors themselves."""

import heapq
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from msgspec import Meta

from router_extproc.base.vector import Vector
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Needs
from router_extproc.server.api.classify_shapes import MAX_TEXTS, Count, Millis, Share, Text
from router_extproc.server.api.reading import READING_CODES, Reader, Stopwatch
from router_extproc.server.api.route import LARGE_BODY, Route, Shape
from router_extproc.server.replies import Code, RefusedError

TAG: Final = "vectors"
ONLY_VECTOR: Final = Needs(vector=True)
AUTO: Final = "auto"

ModelName = Annotated[
    str, Meta(max_length=256, description="`auto`, or the encoder's name as `model_used` has it.")
]
Dimension = Annotated[
    int, Meta(ge=1, le=65_536, description="That of the encoder, or null: vectors are never cut.")
]
Priority = Annotated[
    Share, Meta(description="Taken for vLLM Semantic Router's clients: there is one encoder to choose from.")
]
Cosine = Annotated[float, Meta(ge=-1, le=1)]


class EmbeddingsRequest(Shape, frozen=True):
    texts: Annotated[list[Text], Meta(min_length=1, max_length=MAX_TEXTS)]
    model: ModelName = AUTO
    dimension: Dimension | None = None
    quality_priority: Priority = 0.5
    latency_priority: Priority = 0.5


class Embedding(Shape, frozen=True):
    """`embedding` has length 1. `truncated`, ours: the encoder did not see the text's end."""

    text: str
    embedding: list[float]
    dimension: Count
    model_used: str
    processing_time_ms: Millis
    truncated: bool


class EmbeddingsReply(Shape, frozen=True):
    """In the order of the texts."""

    embeddings: list[Embedding]
    total_count: Count
    total_processing_time_ms: Millis
    avg_processing_time_ms: Millis


class SimilarityRequest(Shape, frozen=True):
    text1: Text
    text2: Text
    model: ModelName = AUTO
    dimension: Dimension | None = None
    quality_priority: Priority = 0.5
    latency_priority: Priority = 0.5


class SimilarityReply(Shape, frozen=True):
    """`similarity` is the cosine."""

    similarity: Cosine
    model_used: str
    processing_time_ms: Millis


class SimilarityBatchRequest(Shape, frozen=True):
    query: Text
    candidates: Annotated[list[Text], Meta(min_length=1, max_length=MAX_TEXTS)]
    top_k: Annotated[int, Meta(ge=0, le=MAX_TEXTS, description="0 for all.")] = 0
    model: ModelName = AUTO
    dimension: Dimension | None = None
    quality_priority: Priority = 0.5
    latency_priority: Priority = 0.5


class Match(Shape, frozen=True):
    """`index` is the candidate's place in the request."""

    index: Count
    similarity: Cosine
    text: str


class SimilarityBatchReply(Shape, frozen=True):
    """The most similar first."""

    matches: list[Match]
    total_candidates: Count
    model_used: str
    processing_time_ms: Millis


class EmbeddingModel(Shape, frozen=True):
    model_name: str
    is_loaded: bool
    dimension: Count


class EmbeddingModels(Shape, frozen=True):
    models: list[EmbeddingModel]


def vector_routes(reader: Reader, dimension: int) -> tuple[Route, ...]:
    """`dimension`: components of the encoder's vectors."""
    calls, codes = _Calls(reader, dimension), (*READING_CODES, Code.MODEL_NOT_FOUND)
    batch = (*codes, Code.BATCH_TOO_LARGE)
    return (
        Route(
            "POST", "/api/v1/embeddings", TAG, f"The vectors of up to {MAX_TEXTS} texts",
            {200: EmbeddingsReply}, calls.embeddings, takes=EmbeddingsRequest, codes=batch,
            body_bytes=LARGE_BODY,
        ),
        Route(
            "GET", "/api/v1/embeddings/models", TAG, "The encoder",
            {200: EmbeddingModels}, calls.models,
        ),
        Route(
            "POST", "/api/v1/similarity", TAG, "How alike two texts are",
            {200: SimilarityReply}, calls.similarity, takes=SimilarityRequest, codes=codes,
            body_bytes=LARGE_BODY,
        ),
        Route(
            "POST", "/api/v1/similarity/batch", TAG, f"Which of up to {MAX_TEXTS} texts are most like one",
            {200: SimilarityBatchReply}, calls.batch, takes=SimilarityBatchRequest, codes=batch,
            body_bytes=LARGE_BODY,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    reader: Reader
    dimension: int

    async def models(self, _: None) -> EmbeddingModels:
        model = EmbeddingModel(model_name=self.reader.encoder, is_loaded=True, dimension=self.dimension)
        return EmbeddingModels(models=[model])

    async def embeddings(self, asked: EmbeddingsRequest) -> EmbeddingsReply:
        self._check(asked.model, asked.dimension)
        async with self.reader.turn() as watch:
            found = []
            for text in asked.texts:
                own = Stopwatch()
                found.append(embedding_of(text, await self._read(text), own.millis))
            total = watch.millis
            return EmbeddingsReply(
                embeddings=found,
                total_count=len(found),
                total_processing_time_ms=total,
                avg_processing_time_ms=round(total / len(found), 3),
            )

    async def similarity(self, asked: SimilarityRequest) -> SimilarityReply:
        self._check(asked.model, asked.dimension)
        async with self.reader.turn() as watch:
            one, other = await self._read(asked.text1), await self._read(asked.text2)
            return SimilarityReply(
                similarity=cosine(one.vector, other.vector),
                model_used=one.encoder,
                processing_time_ms=watch.millis,
            )

    async def batch(self, asked: SimilarityBatchRequest) -> SimilarityBatchReply:
        self._check(asked.model, asked.dimension)
        async with self.reader.turn() as watch:
            query = await self._read(asked.query)
            matches = []
            for index, text in enumerate(asked.candidates):
                similarity = cosine(query.vector, (await self._read(text)).vector)
                matches.append(Match(index=index, similarity=similarity, text=text))
            return SimilarityBatchReply(
                matches=best(matches, asked.top_k),
                total_candidates=len(matches),
                model_used=query.encoder,
                processing_time_ms=watch.millis,
            )

    async def _read(self, text: str) -> Analysis:
        return await self.reader.read(text, ONLY_VECTOR)

    def _check(self, model: str, dimension: int | None) -> None:
        if model not in (AUTO, self.reader.encoder):
            raise RefusedError(
                Code.MODEL_NOT_FOUND, f"model: there is no such encoder; `auto` is {self.reader.encoder}"
            )
        if dimension not in (None, self.dimension):
            raise RefusedError(Code.INVALID_INPUT, f"dimension: vectors have {self.dimension} components")


def embedding_of(text: str, analysis: Analysis, millis: float) -> Embedding:
    return Embedding(
        text=text,
        embedding=analysis.vector.tolist(),
        dimension=len(analysis.vector),
        model_used=analysis.encoder,
        processing_time_ms=millis,
        truncated=analysis.truncated,
    )


def cosine(one: Vector, other: Vector) -> float:
    """Of two vectors of length 1, in [-1, 1] in spite of rounding."""
    return round(min(1.0, max(-1.0, float(np.dot(one, other)))), 6)


def best(matches: list[Match], count: int) -> list[Match]:
    """The `count` most similar, 0 for all; of equals the first."""
    return heapq.nsmallest(count or len(matches), matches, key=lambda each: (-each.similarity, each.index))

"""`/api/v1/classify/*`: what the encoder, its heads and the guards make of texts that the caller sends."""

from dataclasses import dataclass
from typing import Final, Protocol

from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.compiled import Needs
from router_extproc.server.api.classify_shapes import (
    MAX_TEXTS,
    BatchReply,
    BatchRequest,
    BatchResult,
    CombinedReply,
    CombinedRequest,
    IntentReply,
    IntentRequest,
    PiiReply,
    PiiRequest,
    SecurityReply,
    SecurityRequest,
    TaskType,
)
from router_extproc.server.api.reading import READING_CODES, Reader, Stopwatch
from router_extproc.server.api.route import LARGE_BODY, Route
from router_extproc.server.api.verdicts import intent_of, pii_of, result_of, security_of, statistics_of
from router_extproc.server.replies import Code, RefusedError

PREFIX: Final = "/api/v1/classify"


class Batches(Protocol):
    """Is told of batches, as metrics are."""

    def classified(self, texts: int, seconds: float) -> None: ...

    def not_classified(self) -> None: ...


def classify_routes(reader: Reader, batches: Batches) -> tuple[Route, ...]:
    calls = _Calls(reader, batches)
    tag = "classify"
    return (
        Route(
            "POST", f"{PREFIX}/intent", tag, "The domain of a text, and the model for it",
            {200: IntentReply}, calls.intent, takes=IntentRequest, codes=READING_CODES, body_bytes=LARGE_BODY,
        ),
        Route(
            "POST", f"{PREFIX}/pii", tag, "The personal data in a text",
            {200: PiiReply}, calls.pii, takes=PiiRequest, codes=READING_CODES, body_bytes=LARGE_BODY,
        ),
        Route(
            "POST", f"{PREFIX}/security", tag, "Whether a text attacks the assistant's instructions",
            {200: SecurityReply}, calls.security, takes=SecurityRequest, codes=READING_CODES,
            body_bytes=LARGE_BODY,
        ),
        Route(
            "POST", f"{PREFIX}/combined", tag, "All three, of one analysis of the text",
            {200: CombinedReply}, calls.combined, takes=CombinedRequest, codes=READING_CODES,
            body_bytes=LARGE_BODY,
        ),
        Route(
            "POST", f"{PREFIX}/batch", tag, f"Up to {MAX_TEXTS} texts, one after the other, in their order",
            {200: BatchReply}, calls.batch, takes=BatchRequest, codes=(*READING_CODES, Code.BATCH_TOO_LARGE),
            body_bytes=LARGE_BODY,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    reader: Reader
    batches: Batches

    async def intent(self, asked: IntentRequest) -> IntentReply:
        async with self.reader.turn() as watch:
            plan, world = self.reader.plan, self.reader.world
            analysis = await self.reader.read(asked.text, needs_of(plan, "intent"))
            return intent_of(asked.text, analysis, plan, world, asked.options, watch.millis)

    async def pii(self, asked: PiiRequest) -> PiiReply:
        async with self.reader.turn() as watch:
            plan = self.reader.plan
            analysis = await self.reader.read(asked.text, needs_of(plan, "pii"))
            return pii_of(asked.text, analysis, plan, asked.options, watch.millis)

    async def security(self, asked: SecurityRequest) -> SecurityReply:
        async with self.reader.turn() as watch:
            plan = self.reader.plan
            analysis = await self.reader.read(asked.text, needs_of(plan, "security"))
            return security_of(asked.text, analysis, plan, asked.options, watch.millis)

    async def combined(self, asked: CombinedRequest) -> CombinedReply:
        async with self.reader.turn() as watch:
            plan, world, text = self.reader.plan, self.reader.world, asked.text
            analysis, options, millis = await self.reader.read(text), asked.options, watch.millis
            return CombinedReply(
                intent=intent_of(text, analysis, plan, world, options.intent, millis),
                pii=pii_of(text, analysis, plan, options.pii, millis),
                security=security_of(text, analysis, plan, options.security, millis),
                processing_time_ms=millis,
            )

    async def batch(self, asked: BatchRequest) -> BatchReply:
        try:
            reply = await self._batch(asked)
        except RefusedError:
            self.batches.not_classified()
            raise
        self.batches.classified(reply.total_count, reply.processing_time_ms / 1000)
        return reply

    async def _batch(self, asked: BatchRequest) -> BatchReply:
        async with self.reader.turn() as watch:
            plan, world, results = self.reader.plan, self.reader.world, list[BatchResult]()
            needs = needs_of(plan, asked.task_type)
            for text in asked.texts:
                own = Stopwatch()
                analysis = await self.reader.read(text, needs)
                results.append(
                    result_of(text, analysis, plan, world, asked.task_type, asked.options, own.millis)
                )
            return BatchReply(
                results=results,
                total_count=len(results),
                processing_time_ms=watch.millis,
                statistics=statistics_of(results, asked.options),
            )


def needs_of(plan: Snapshot, task: TaskType) -> Needs | None:
    """What of an analysis the task reads: for `intent` what a request's decision goes by."""
    if task == "all":
        return None
    if task != "intent":
        return Needs(guard=task == "security", pii=task == "pii")
    needs, pii = plan.routing.needs, plan.screening.pii
    return Needs(needs.vector, needs.heads | {plan.routing.domain}, pii=pii.enabled)

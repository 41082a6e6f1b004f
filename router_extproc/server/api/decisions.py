"""What the router would decide, over HTTP: `POST /api/v1/eval` and `GET /api/v1/pool`. Nothing goes upstream.

Answers name models, rules, labels and numbers; of what was asked they repeat nothing.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router_extproc.exchange.facts import facts_of, others_of, question_of
from router_extproc.exchange.guarding import outcomes
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.llm.chat import ChatError, ChatRequest, parse_chat
from router_extproc.ports import Clock
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.routing.world import Condition
from router_extproc.server.api.reading import Reader
from router_extproc.server.api.route import LARGE_BODY, Route, Shape
from router_extproc.server.pool import Pool
from router_extproc.server.replies import Code, RefusedError

TAG: Final = "routing"


class ChatCompletion(msgspec.Struct, frozen=True):
    """A chat completion as it would be sent through Envoy, with any other field of OpenAI's. `model` is a
    name of `/v1/models`."""

    model: str
    messages: Annotated[list[dict[str, Any]], Meta(min_length=1)]


class EvalReply(Shape, frozen=True):
    """`trace` has names, labels and numbers: what every signal said, which rules held, who was listed, and
    how one was chosen. Of the request it repeats nothing."""

    generation: str
    model: str | None
    decision: str
    category: str
    confidence: float
    trace: dict[str, Any]
    guards: Annotated[dict[str, str], Meta(description="What each guard would do.")]
    refused: Annotated[str | UnsetType, Meta(description="Why nobody suits; where `model` is null.")] = UNSET
    lora: str | UnsetType | None = UNSET
    reasoning: Literal["on", "off"] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    alternatives: list[str] | UnsetType = UNSET


class PoolCondition(Shape, frozen=True):
    """Latencies in seconds, null where nothing was measured yet. `samples` is how many answers, decaying,
    these numbers rest on."""

    available: bool
    latency: float | None
    time_to_first_token: float | None
    time_per_token: float | None
    error_rate: float
    in_flight: int
    samples: float


class PoolReply(Shape, frozen=True):
    """By model; empty where nothing is learned."""

    models: dict[str, PoolCondition]


def decision_routes(reader: Reader, pool: Pool, clock: Clock) -> tuple[Route, ...]:
    calls = _Calls(reader, lambda: pool.conditions(clock.now()))
    return (
        Route(
            "POST", "/api/v1/eval", TAG, "The whole decision for a request, which is sent to nobody",
            {200: EvalReply}, calls.evaluate, takes=ChatCompletion, raw=True, body_bytes=LARGE_BODY,
            codes=(Code.TOO_MANY_REQUESTS, Code.MODEL_NOT_FOUND, Code.DEADLINE_EXCEEDED),
        ),
        Route(
            "GET", "/api/v1/pool", TAG, "How each model does by what was measured",
            {200: PoolReply}, calls.conditions,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    reader: Reader
    measured: Callable[[], dict[str, Condition]]

    async def evaluate(self, body: bytes) -> EvalReply:
        """The decision for the chat completion in `body`, as one of a new conversation."""
        plan = self.reader.plan
        chat = _chat(body, plan)
        model = None if chat.model in plan.aliases else chat.model
        async with self.reader.turn():
            analysis = await self._analysis(chat)
        decided = decide(plan.routing, model, facts_of(chat), analysis, self.reader.world, plan.screening.pii)
        guards = {guard: said.value for guard, said in outcomes(plan.screening, decided, analysis)}
        return reply_of(decided, plan.generation, guards)

    async def conditions(self, _: None) -> PoolReply:
        return PoolReply(
            models={name: PoolCondition(**asdict(each)) for name, each in self.measured().items()}
        )

    async def _analysis(self, chat: ChatRequest) -> Analysis | None:
        """None where the router would decide without one too."""
        try:
            return await self.reader.read(question_of(chat) or " ", None, others_of(chat))
        except RefusedError:
            return None


def _chat(body: bytes, plan: Snapshot) -> ChatRequest:
    try:
        chat = parse_chat(body)
    except ChatError as error:
        raise RefusedError(Code.INVALID_INPUT, error.message) from None
    if chat.model not in plan.aliases and not plan.is_model(chat.model):
        raise RefusedError(Code.MODEL_NOT_FOUND, "model: the model does not exist in this pool")
    return chat


def reply_of(decided: Decision | Unsuitable, generation: str, guards: dict[str, str]) -> EvalReply:
    common: dict[str, Any] = {
        "generation": generation,
        "decision": decided.decision,
        "category": decided.category,
        "confidence": round(decided.confidence, 4),
        "trace": decided.trace.as_json(),
        "guards": guards,
    }
    if isinstance(decided, Unsuitable):
        return EvalReply(model=None, refused=decided.message, **common)
    route = decided.route
    return EvalReply(
        model=route.model,
        lora=route.adapter,
        reasoning="on" if route.reasoning else "off",
        reason=decided.rule.value,
        alternatives=[other.name for other in decided.alternatives],
        **common,
    )

"""What the router would decide, over HTTP: `POST /api/v1/eval` and `GET /api/v1/pool`. Nothing goes upstream.

Answers name models, rules, labels and numbers; of what was asked they repeat nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from aiohttp import web

from router_extproc.exchange.facts import facts_of, others_of, question_of
from router_extproc.exchange.guarding import outcomes
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.llm.chat import ChatError, ChatRequest, parse_chat
from router_extproc.ports import Analyst, Clock, PortError
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.server.pool import Pool
from router_extproc.server.replies import RefusedError, json_reply

NO_DRAW: Final = 0.999999
"""A chance by which no request is used to find out how a model does: what is shown is the rule."""


MAX_BODY_BYTES = 1024 * 1024
MAX_EVALUATIONS = 4


def decision_routes(
    plan: Callable[[], Snapshot], analyst: Analyst, pool: Pool, clock: Clock
) -> Sequence[web.RouteDef]:
    """`plan` gives the one in force. The encoder is the clients': few of these calls may use it at once."""
    free = asyncio.Semaphore(MAX_EVALUATIONS)

    async def evaluate(request: web.Request) -> web.Response:
        """The decision for the chat completion in the body, as one of a new conversation."""
        now = plan()
        chat = _chat(await _body(request), now)
        model = None if chat.model in now.aliases else chat.model
        if free.locked():
            raise RefusedError(429, f"{MAX_EVALUATIONS} evaluations are under way; try again.")
        async with free:
            analysis = await _analysis(analyst, chat, now.analysis_timeout)
        world = replace(pool.world(None, clock.now()), chance=NO_DRAW)
        decision = decide(now.routing, model, facts_of(chat), analysis, world, now.screening.pii)
        guards = {guard: said.value for guard, said in outcomes(now.screening, decision, analysis)}
        return json_reply({"generation": now.generation, **_document(decision), "guards": guards})

    async def conditions(_: web.Request) -> web.Response:
        """How each model of the pool does by what was measured; empty where nothing is learned."""
        measured = pool.conditions(clock.now())
        return json_reply({"models": {name: asdict(each) for name, each in measured.items()}})

    return (web.post("/api/v1/eval", evaluate), web.get("/api/v1/pool", conditions))


async def _body(request: web.Request) -> bytes:
    """Longer than the other bodies of this API, for it is a prompt."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(413, f"The request body has more than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def _chat(body: bytes, plan: Snapshot) -> ChatRequest:
    try:
        chat = parse_chat(body)
    except ChatError as error:
        raise RefusedError(400, error.message, error.param) from None
    if chat.model not in plan.aliases and not plan.is_model(chat.model):
        raise RefusedError(404, "The model does not exist in this pool.", "model")
    return chat


async def _analysis(analyst: Analyst, chat: ChatRequest, within: float) -> Analysis | None:
    """None where the router would decide without one too."""
    try:
        async with asyncio.timeout(within):
            return await analyst.analyse(question_of(chat) or " ", None, others_of(chat))
    except (PortError, TimeoutError):
        return None


def _document(decision: Decision | Unsuitable) -> dict[str, Any]:
    trace = decision.trace.as_json()
    common = {
        "decision": decision.decision,
        "category": decision.category,
        "confidence": round(decision.confidence, 4),
        "trace": trace,
    }
    if isinstance(decision, Unsuitable):
        return {"model": None, "refused": decision.message, **common}
    route = decision.route
    return {
        "model": route.model,
        "lora": route.adapter,
        "reasoning": "on" if route.reasoning else "off",
        "reason": decision.rule.value,
        "alternatives": [other.name for other in decision.alternatives],
        **common,
    }

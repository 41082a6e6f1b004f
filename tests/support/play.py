"""Plays an exchange against scripted ports, with no I/O, and keeps what it said."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import CachePolicy
from router_extproc.exchange.effects import (
    Analyse,
    Close,
    Effect,
    ImmediateReply,
    LookupExact,
    LookupSimilar,
    Reply,
    Store,
)
from router_extproc.exchange.events import (
    AnalysisFailed,
    AnalysisReady,
    Event,
    LookupDone,
    LookupFailed,
    RequestBody,
    RequestHeaders,
    ResponseBody,
    ResponseHeaders,
)
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import ReasoningFamily, Route, RoutingPolicy

AT = 1_700_000_000.0

QWEN = ReasoningFamily("chat_template_kwargs", "enable_thinking")

PLAN = Snapshot(
    generation="g1",
    encoder="e1",
    aliases=frozenset({"auto", "MoM"}),
    routing=RoutingPolicy(
        routes={"math": Route("large", reasoning=True), "history": Route("small")},
        threshold=0.5,
        default=Route("medium"),
        families={"small": QWEN, "medium": QWEN, "large": QWEN, "plain": None},
    ),
    cache=CachePolicy(enabled=True, threshold=0.85, ttl=60.0, max_answer_bytes=4096, lookup_timeout=0.05),
    max_body_bytes=65_536,
    analysis_timeout=0.5,
)


def vector(first: float = 1.0) -> Vector:
    return np.array([first, (1 - first**2) ** 0.5, 0.0], np.float32)


def analysis(**domains: float) -> Analysis:
    return Analysis(vector(), {"domain": domains or {"math": 0.9, "history": 0.1}}, "e1", 5)


def chat_headers(*extra: tuple[str, str], credential: str = "Bearer k1") -> RequestHeaders:
    """`extra` fields replace those of the same name."""
    fields = {":method": "POST", ":path": "/v1/chat/completions", "content-type": "application/json"}
    if credential:
        fields["authorization"] = credential
    return RequestHeaders(Headers.of((fields | dict(extra)).items()), end_of_stream=False)


QUESTION = '{"model":"auto","messages":[{"role":"user","content":"Add 2 and 2."}]}'


def chat_body(text: str = QUESTION) -> RequestBody:
    return RequestBody(text.encode(), end_of_stream=True)


def response_headers(status: str = "200", content_type: str = "application/json") -> ResponseHeaders:
    return ResponseHeaders(
        Headers.of([(":status", status), ("content-type", content_type)]), end_of_stream=False
    )


def pieces(body: bytes, cuts: Iterable[int] = (), *, ends: bool = True) -> list[ResponseBody]:
    """`body` cut at the given offsets; the last piece ends the stream unless `ends` is false."""
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    parts = [body[a:b] for a, b in pairwise(places)]
    return [ResponseBody(part, ends and i == len(parts) - 1) for i, part in enumerate(parts)]


@dataclass(frozen=True, slots=True)
class Ports:
    """What the scripted world brings. A Failure instead of a result makes the port fail."""

    exact: Callable[[LookupExact], Sequence[Candidate] | Failure] = lambda effect: ()
    analyse: Callable[[Analyse], Analysis | Failure] = lambda effect: analysis()
    similar: Callable[[LookupSimilar], Sequence[Candidate] | Failure] = lambda effect: ()

    def run(self, effect: Effect) -> Event | None:
        """The event that answers an effect, None for effects that nothing answers."""
        if isinstance(effect, Analyse):
            result = self.analyse(effect)
            return AnalysisFailed(result) if isinstance(result, Failure) else AnalysisReady(result)
        if isinstance(effect, LookupExact | LookupSimilar):
            found = self.exact(effect) if isinstance(effect, LookupExact) else self.similar(effect)
            return LookupFailed(found) if isinstance(found, Failure) else LookupDone(found)
        return None


def feed(exchange: Exchange, event: Event, ports: Ports, at: float = AT) -> list[Effect]:
    """Everything one event leads to, ports answered."""
    effects: list[Effect] = []
    waiting = list(exchange.receive(event, at))
    while waiting:
        effect = waiting.pop(0)
        effects.append(effect)
        answer = ports.run(effect)
        if answer is not None:
            waiting.extend(exchange.receive(answer, at))
    return effects


@dataclass(slots=True)
class Transcript:
    """For each message, the effects it led to, ports included."""

    steps: list[tuple[Event, list[Effect]]] = field(default_factory=list)

    @property
    def effects(self) -> list[Effect]:
        return [effect for _, effects in self.steps for effect in effects]

    def replies(self) -> list[Reply | ImmediateReply]:
        return [effect for effect in self.effects if isinstance(effect, Reply | ImmediateReply)]

    def stored(self) -> list[Store]:
        return [effect for effect in self.effects if isinstance(effect, Store)]

    def forwarded(self) -> Reply:
        """The reply that let the request body go upstream."""
        [reply] = [r for r in self.replies() if isinstance(r, Reply) and r.clear_route_cache]
        return reply

    def immediate(self) -> ImmediateReply:
        [reply] = [r for r in self.replies() if isinstance(r, ImmediateReply)]
        return reply


def play(
    messages: Iterable[Event], ports: Ports | None = None, plan: Snapshot = PLAN, at: float = AT
) -> Transcript:
    """Feed `messages` until the exchange ends the stream, as the driver does."""
    exchange, script, transcript = Exchange(plan, "x1"), ports or Ports(), Transcript()
    for message in messages:
        effects = feed(exchange, message, script, at)
        transcript.steps.append((message, effects))
        if any(isinstance(effect, Close | ImmediateReply) for effect in effects):
            break
    return transcript

"""Plays an exchange against scripted ports, with no I/O, and keeps what it said."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Marks
from router_extproc.caching.policy import CachePolicy, CategoryPolicy, Mode
from router_extproc.caching.scope import Tenancy
from router_extproc.exchange.effects import (
    Analyse,
    Close,
    Compare,
    Effect,
    ImmediateReply,
    Join,
    Land,
    LookupExact,
    LookupSimilar,
    Question,
    Reply,
    Store,
)
from router_extproc.exchange.events import (
    NO_MARKS,
    Alone,
    AnalysisFailed,
    AnalysisReady,
    Compared,
    CompareFailed,
    Event,
    Landed,
    Leads,
    LookupDone,
    LookupFailed,
    RequestBody,
    RequestHeaders,
    ResponseBody,
    ResponseHeaders,
)
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.llm.render import render_json
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Listing, RoutingPolicy
from router_extproc.routing.policy import Model, ReasoningFamily, Route
from router_extproc.routing.select import Algorithm
from router_extproc.routing.world import World

AT = 1_700_000_000.0

QWEN = ReasoningFamily("chat_template_kwargs", "enable_thinking")


def listing(*routes: Route) -> Listing:
    """These may answer, the first before all others."""
    return Listing(routes, Algorithm())


PLAN = Snapshot(
    generation="g1",
    encoder="e1",
    aliases=frozenset({"auto", "MoM"}),
    routing=RoutingPolicy(
        models={
            "small": Model(family=QWEN),
            "medium": Model(family=QWEN),
            "large": Model(family=QWEN),
            "plain": Model(),
        },
        default=listing(Route("medium")),
        categories={"math": listing(Route("large", reasoning=True)), "history": listing(Route("small"))},
        threshold=0.5,
    ),
    cache=CachePolicy(
        enabled=True,
        tenancy=Tenancy(),
        default=CategoryPolicy(Mode.SEMANTIC, threshold=0.85, ttl=60.0),
        max_answer_bytes=4096,
        lookup_timeout=0.05,
        max_temperature=1.0,
        coalesce_timeout=2.0,
    ),
    max_body_bytes=65_536,
    analysis_timeout=0.5,
)


def plan_with(**cache: Any) -> Snapshot:
    """PLAN with these changes of its cache policy."""
    return replace(PLAN, cache=replace(PLAN.cache, **cache))


def vector(first: float = 1.0) -> Vector:
    return np.array([first, (1 - first**2) ** 0.5, 0.0], np.float32)


def analysis(**domains: float) -> Analysis:
    return Analysis(vector(), {"domain": domains or {"math": 0.9, "history": 0.1}}, "e1", 5)


COMPLETION = Completion("large", "Four.\n\n```\n4\n```", "stop", usage=Usage(9, 3))


ANSWER = render_json(COMPLETION, "chatcmpl-1", 1)
"""A model's answer, as JSON."""


def entry(partition: str, text: str = "Add 2 and 2.", /, **changes: Any) -> Entry:
    """An entry that answers `text`, five seconds old and live for one more second."""
    found = Entry(
        id="e",
        partition=partition,
        tenant="t1",
        text=text,
        vector=vector(),
        completion=COMPLETION,
        model="large",
        category="math",
        reasoning=True,
        created_at=AT - 5,
        expires_at=AT + 1,
    )
    return replace(found, **changes)


def chat_headers(*extra: tuple[str, str], credential: str = "Bearer k1") -> RequestHeaders:
    """`extra` fields replace those of the same name."""
    fields = {":method": "POST", ":path": "/v1/chat/completions", "content-type": "application/json"}
    if credential:
        fields["authorization"] = credential
    return RequestHeaders(Headers.of((fields | dict(extra)).items()), end_of_stream=False)


QUESTION = '{"model":"auto","messages":[{"role":"user","content":"Add 2 and 2."}]}'


def chat_body(text: str = QUESTION) -> RequestBody:
    return RequestBody(text.encode(), end_of_stream=True)


def question(text: str = "Add 2 and 2.", *, before: Sequence[tuple[str, str]] = (), **fields: Any) -> str:
    """The JSON of a request that asks `text` after the messages `before`, as (role, content)."""
    turns = [{"role": role, "content": content} for role, content in (*before, ("user", text))]
    return json.dumps({"model": "auto", "messages": turns} | fields)


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
    """What the scripted world brings. A Failure instead of a result makes the port fail. The verifier takes
    everything for the same, so that what keeps an entry from answering is something else.

    `marks` are in force at every lookup and landing. `pace` advances the test's clock while a question is
    under way; see `feed`.
    """

    exact: Callable[[LookupExact], Sequence[Candidate] | Failure] = lambda effect: ()
    analyse: Callable[[Analyse], Analysis | Failure] = lambda effect: analysis()
    similar: Callable[[LookupSimilar], Sequence[Candidate] | Failure] = lambda effect: ()
    join: Callable[[Join], Leads | Alone | Candidate] = lambda effect: Leads()
    same: Callable[[Compare], float | Failure | None] = lambda effect: 1.0
    world: Callable[[Analyse], World] = lambda effect: World()
    marks: Marks = NO_MARKS
    pace: Callable[[Question], None] = lambda effect: None

    def run(self, effect: Effect) -> Event | None:
        """The event that answers an effect, None for effects that nothing answers."""
        if isinstance(effect, Question):
            self.pace(effect)
        if isinstance(effect, Analyse):
            result = self.analyse(effect)
            world = self.world(effect)
            if isinstance(result, Failure):
                return AnalysisFailed(result, world)
            return AnalysisReady(result, world)
        if isinstance(effect, Compare):
            said = self.same(effect)
            if isinstance(said, Failure):
                return CompareFailed(said, self.marks)
            return Compared(said, self.marks)
        if isinstance(effect, Join):
            joined = self.join(effect)
            return Landed(joined, self.marks) if isinstance(joined, Candidate) else joined
        if isinstance(effect, LookupExact | LookupSimilar):
            found = self.exact(effect) if isinstance(effect, LookupExact) else self.similar(effect)
            return LookupFailed(found) if isinstance(found, Failure) else LookupDone(found, self.marks)
        return None


def finds_exactly(effect: LookupExact) -> list[Candidate]:
    return [Candidate(entry(effect.partition), 1.0)]


def finds_similar(text: str, similarity: float, **changes: Any) -> Ports:
    """A store that finds an entry for `text` in whatever partition it is asked for."""

    def found(effect: LookupSimilar) -> list[Candidate]:
        return [Candidate(replace(entry(effect.partition, text), **changes), similarity)]

    return Ports(similar=found)


def partition_of(effect: Join) -> str:
    """The partition in which `question()` is asked under PLAN, if that is what waits here."""
    lookup = play([chat_headers(), chat_body()]).only(LookupExact)[0]
    assert lookup.entry_id == effect.entry_id
    return lookup.partition


Time = float | Callable[[], float]
"""Unix seconds: a time that stands still, or a clock that is read for every event."""


def feed(exchange: Exchange, event: Event, ports: Ports, at: Time = AT) -> list[Effect]:
    """Everything one event leads to, ports answered."""
    effects: list[Effect] = []
    waiting = list(exchange.receive(event, _now(at)))
    while waiting:
        effect = waiting.pop(0)
        effects.append(effect)
        answer = ports.run(effect)
        if answer is not None:
            waiting.extend(exchange.receive(answer, _now(at)))
    return effects


def _now(at: Time) -> float:
    return at() if callable(at) else at


Kind = TypeVar("Kind")


@dataclass(slots=True)
class Transcript:
    """For each message, the effects it led to, ports included."""

    steps: list[tuple[Event, list[Effect]]] = field(default_factory=list)

    @property
    def effects(self) -> list[Effect]:
        return [effect for _, effects in self.steps for effect in effects]

    def replies(self) -> list[Reply | ImmediateReply]:
        return [effect for effect in self.effects if isinstance(effect, Reply | ImmediateReply)]

    def only(self, kind: type[Kind]) -> list[Kind]:
        """The effects of one kind, in order."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def stored(self) -> list[Store]:
        return self.only(Store)

    def landed(self) -> list[Candidate | None]:
        """What those who wait for this exchange are given."""
        return [effect.candidate for effect in self.only(Land)]

    def forwarded(self) -> Reply:
        """The reply that let the request body go upstream."""
        [reply] = [r for r in self.replies() if isinstance(r, Reply) and r.clear_route_cache]
        return reply

    def immediate(self) -> ImmediateReply:
        [reply] = [r for r in self.replies() if isinstance(r, ImmediateReply)]
        return reply


def play(
    messages: Iterable[Event],
    ports: Ports | None = None,
    plan: Snapshot = PLAN,
    at: Time = AT,
    ident: str = "x1",
) -> Transcript:
    """Feed `messages` until the exchange ends the stream, as the driver does."""
    exchange, script, transcript = Exchange(plan, ident), ports or Ports(), Transcript()
    for message in messages:
        effects = feed(exchange, message, script, at)
        transcript.steps.append((message, effects))
        if any(isinstance(effect, Close | ImmediateReply) for effect in effects):
            break
    return transcript

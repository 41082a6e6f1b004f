"""No answer is shared by two requests that could have got different ones, whatever a store proposes and
whatever the verifier says.

Pairs of whole requests are played through the real exchange against one store: the first one's answer is
kept, and then the second one asks. An answer can come in four ways (exact, by meaning, from an identical
request under way, and past its expiry), and each is tried alone. The store is the real one, or one that
leaks: it ignores the partition, the id, the expiry or all of them, and it finds everything perfectly similar.
"""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol, TypeVar

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router_extproc.base.completion import Completion
from router_extproc.base.headers import Headers
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.policy import Consent
from router_extproc.caching.scope import Credential, Shared, Tenancy, TrustedHeader
from router_extproc.exchange.effects import (
    CacheHit,
    HitKind,
    Join,
    LookupExact,
    LookupSimilar,
    Question,
    Store,
)
from router_extproc.exchange.events import Event, Leads, RequestHeaders
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.llm.render import render_json
from router_extproc.stores.memory import MemoryStore
from tests.support.play import (
    AT,
    PLAN,
    Ports,
    Transcript,
    chat_body,
    pieces,
    play,
    question,
    response_headers,
)

GRACE = 30.0
TTL = PLAN.cache.default.ttl


class Shelf(Protocol):
    """A store whose answers are at hand."""

    def put(self, entry: Entry) -> None: ...

    def get(self, effect: LookupExact, at: float) -> Sequence[Candidate]: ...

    def nearest(self, effect: LookupSimilar, at: float) -> Sequence[Candidate]: ...


@dataclass(frozen=True, slots=True)
class LeakyShelf:
    """Ignores what it is told to ignore, and swears that all it finds is the same."""

    ignores: frozenset[str]
    entries: list[Entry] = field(default_factory=list)

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    def get(self, effect: LookupExact, at: float) -> Sequence[Candidate]:
        found = self._here(effect.partition, at - effect.grace)
        return [c for c in found if c.entry.id == effect.entry_id or "id" in self.ignores]

    def nearest(self, effect: LookupSimilar, at: float) -> Sequence[Candidate]:
        found = self._here(effect.partition, at - effect.grace)
        return [c for c in found if not c.entry.exact_only or "exact_only" in self.ignores]

    def _here(self, partition: str, at: float) -> list[Candidate]:
        return [
            Candidate(entry, 1.0)
            for entry in self.entries
            if (entry.partition == partition or "partition" in self.ignores)
            and (at < entry.expires_at or "expiry" in self.ignores)
        ]


class RealShelf:
    """The store in memory. Nothing in it waits, so its coroutines end at their first step."""

    def __init__(self) -> None:
        self._store = MemoryStore(3, 100, 1_000_000, "fifo")

    def put(self, entry: Entry) -> None:
        at_once(self._store.put(entry))

    def get(self, effect: LookupExact, at: float) -> Sequence[Candidate]:
        found = at_once(
            self._store.get(effect.partition, effect.entry_id, at - effect.grace, within=effect.timeout)
        )
        return [] if found is None else [Candidate(found, 1.0)]

    def nearest(self, effect: LookupSimilar, at: float) -> Sequence[Candidate]:
        return at_once(
            self._store.nearest(
                effect.partition, effect.vector, effect.limit, at - effect.grace, within=effect.timeout
            )
        )


T = TypeVar("T")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("the store in memory waits for something")


LEAKS = ("partition", "id", "expiry", "exact_only")
shelves = st.one_of(
    st.builds(RealShelf),
    st.builds(LeakyShelf, st.frozensets(st.sampled_from(LEAKS))),
    st.builds(LeakyShelf, st.just(frozenset(LEAKS))),
)


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` and `fields` as sent, without those that are None or ABSENT; a header may have several
    values. `encoder` and `generation` are those of the router that serves it."""

    text: str
    before: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str | tuple[str, ...] | None] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    path: str = "/v1/chat/completions"
    encoder: str = "e1"
    generation: str = "g1"

    def messages(self) -> list[Event]:
        pseudo = {":method": "POST", ":path": self.path, "content-type": "application/json"}
        sent = {**pseudo, **self.headers}
        kept = {name: (v,) if isinstance(v, str) else v for name, v in sent.items() if v is not None}
        fields = {name: value for name, value in self.fields.items() if value is not ABSENT}
        body = question(self.text, before=self.before, **fields)
        return [RequestHeaders(Headers(kept), end_of_stream=False), chat_body(body)]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def served(plan: Snapshot, request: Request) -> Snapshot:
    return replace(plan, encoder=request.encoder, generation=request.generation)


_IDENTS = count()


def fill(shelf: Shelf, plan: Snapshot, request: Request, at: float = AT) -> Entry | None:
    """Ask on an empty path; what the model answered is kept, if it may be."""
    number = next(_IDENTS)
    answer = render_json(Completion("large", f"answer {number}", "stop"), "chatcmpl-1", 1)
    messages = [*request.messages(), response_headers(), *pieces(answer)]
    stored = play(messages, plan=served(plan, request), at=at, ident=f"x{number}").only(Store)
    for each in stored:
        shelf.put(each.entry)
    return stored[0].entry if stored else None


def ask(
    shelf: Shelf, plan: Snapshot, request: Request, path: HitKind, landed: Entry | None, at: float
) -> Transcript:
    """Ask where only `path` can bring an answer. A failing model makes way for stale ones."""

    def exact(effect: LookupExact) -> Sequence[Candidate]:
        return shelf.get(effect, at) if path is (HitKind.STALE if effect.grace else HitKind.EXACT) else []

    def similar(effect: LookupSimilar) -> Sequence[Candidate]:
        wanted = HitKind.STALE if effect.grace else HitKind.SEMANTIC
        return shelf.nearest(effect, at) if path is wanted else []

    def join(effect: Join) -> Leads | Candidate:
        """Flights that leak, too: whoever waits is given what is there."""
        return Candidate(landed, 1.0) if path is HitKind.COALESCED and landed else Leads()

    messages = [*request.messages(), response_headers("503")]
    ports = Ports(exact=exact, similar=similar, join=join)
    return play(messages, ports, served(plan, request), at, ident=f"x{next(_IDENTS)}")


PATHS = tuple(HitKind)
OPEN = replace(PLAN, cache=replace(PLAN.cache, stale_grace=GRACE, verifier=Consent(0.5, 0.0)))
"""With a verifier that takes everything for the same (`Ports.same`): what keeps answers apart is not it."""

tools = st.sampled_from(["f", "g"]).map(lambda name: [{"type": "function", "function": {"name": name}}])
some = st.sampled_from
keys = st.one_of(st.none(), st.text("abc", min_size=1, max_size=3).map("Bearer {}".format))
leaves = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.text("ab", max_size=2))
small = st.recursive(
    leaves,
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text("ab", max_size=2), each, max_size=2),
    max_leaves=4,
)

HEADERS: dict[str, st.SearchStrategy[Any]] = {
    "authorization": keys,
    "x-api-key": keys,
    "api-key": keys,
    "openai-organization": some([None, "o1", "o2", ""]),
    "openai-project": some([None, "p1", "p2"]),
}
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": some(["auto", "large", "plain"]),
    "temperature": st.one_of(some([ABSENT, 0, 0.5, 1]), st.floats(0, 1)),
    "max_tokens": some([ABSENT, None, 1, 100]),
    "tools": st.one_of(st.just(ABSENT), tools, tools.map(lambda each: each * 2)),
    "tool_choice": some([ABSENT, "auto", "none", {"type": "function", "function": {"name": "f"}}]),
    "response_format": some([ABSENT, {"type": "json_object"}, {"type": "text"}]),
    "seed": st.one_of(st.just(ABSENT), st.integers(2**64 - 1, 2**64 + 3)),
    "a_field_nobody_knows": st.one_of(st.just(ABSENT), small),
    "stream_options": some([ABSENT, {"chunk": 1}, {"chunk": 2, "include_usage": True}]),
}
words = some(["Be kind.", "Be rude.", "", " Be kind."])
turns = st.lists(
    st.tuples(some(["system", "developer", "user", "assistant"]), words), max_size=3
).map(tuple)  # fmt: skip
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "before": turns,
    "path": some(["", "?api-version=1", "?api-version=2"]).map("/v1/chat/completions{}".format),
    "encoder": some(["e1", "e2"]),
    "generation": some(["g1", "g2"]),
}
TEXT = "Which sorting algorithm has stable linear memory?"
"""Says enough to be compared by meaning, as a later turn too."""


@st.composite
def requests(draw: st.DrawFn) -> Request:
    headers = {name: draw(st.one_of(st.none(), values)) for name, values in HEADERS.items()}
    fields = {name: draw(st.one_of(st.just(ABSENT), values)) for name, values in FIELDS.items()}
    if fields["model"] is ABSENT:
        fields["model"] = "auto"
    if not any(headers[name] for name in ("authorization", "x-api-key", "api-key")):
        headers["authorization"] = "Bearer k"
    others = {name: draw(values) for name, values in OTHERS.items()}
    return Request(TEXT, headers=headers, fields=fields, **others)


@st.composite
def variants(draw: st.DrawFn, request: Request) -> dict[str, Request]:
    """For each thing that may shape an answer or says whose it is, a request that differs in it alone."""
    found = {}
    for name, values in (HEADERS | FIELDS | OTHERS).items():
        changed = with_value(request, name, draw(values))
        if changed != request:
            found[name] = changed
    return found


def with_value(request: Request, name: str, value: Any) -> Request:
    if name in HEADERS:
        return replace(request, headers={**request.headers, name: value})
    if name in FIELDS:
        return replace(request, fields={**request.fields, name: value})
    return replace(request, **{name: value})


times = st.one_of(some([0.0, 1.0, TTL - 0.5, TTL, TTL + GRACE - 0.5, TTL + GRACE]), st.floats(0, 200))
live_times = some([0.0, 1.0, TTL - 0.5])


@settings(max_examples=40, deadline=None)
@given(requests().flatmap(lambda r: st.tuples(st.just(r), variants(r))), shelves, live_times)
def test_requests_that_differ_share_no_answer(
    drawn: tuple[Request, dict[str, Request]], shelf: Shelf, later: float
) -> None:
    request, differing = drawn
    entry = fill(shelf, OPEN, request)
    for name, other in differing.items():
        for path in PATHS:
            transcript = ask(shelf, OPEN, other, path, entry, AT + later)
            assert transcript.only(CacheHit) == [], (name, path)
            assert transcript.forwarded()


@settings(deadline=None)
@given(requests(), requests(), shelves, some(PATHS), times)
def test_requests_that_differ_in_much_share_no_answer(
    one: Request, other: Request, shelf: Shelf, path: HitKind, later: float
) -> None:
    assume(one != other)
    entry = fill(shelf, OPEN, one)
    assert ask(shelf, OPEN, other, path, entry, AT + later).only(CacheHit) == []


@settings(max_examples=60, deadline=None)
@given(requests(), shelves, some(PATHS), times)
def test_the_same_request_gets_its_answer_again(
    request: Request, shelf: Shelf, path: HitKind, later: float
) -> None:
    """Or the property above would hold for a cache that never answers. Expiry is part of it: who ignores it
    is not believed."""
    entry = fill(shelf, OPEN, request)
    assert entry is not None
    transcript = ask(shelf, OPEN, request, path, entry, AT + later)
    # Where the question is asked word for word only, it is not asked by meaning.
    reachable = path is not HitKind.SEMANTIC or not entry.exact_only
    live = later < TTL + (GRACE if path is HitKind.STALE else 0.0)
    # One that has not expired yet is found in place of a failing model too, and is not called stale.
    kind = HitKind.EXACT if path is HitKind.STALE and later < TTL else path
    assert [hit.kind for hit in transcript.only(CacheHit)] == ([kind] if reachable and live else [])
    if transcript.only(CacheHit):
        assert entry.completion.content.encode() in transcript.immediate().body


FORMS: dict[str, st.SearchStrategy[Any]] = {
    "stream": some([ABSENT, None, True, False]),
    "stream_options": some([ABSENT, None, {}, {"include_usage": True}, {"include_usage": False}]),
}
HARMLESS: dict[str, st.SearchStrategy[Any]] = {
    "x-request-id": some([None, "r1", "r2"]),
    "user-agent": some([None, "curl", "openai-python"]),
    "accept": some([None, "*/*"]),
    "traceparent": some([None, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
}


@settings(deadline=None)
@given(requests(), st.fixed_dictionaries(FORMS), st.fixed_dictionaries(HARMLESS), shelves, some(PATHS))
def test_requests_that_differ_in_form_only_share_an_answer(
    request: Request, form: dict[str, Any], harmless: dict[str, str | None], shelf: Shelf, path: HitKind
) -> None:
    plain = replace(request, fields={**request.fields, "stream_options": ABSENT})
    other = replace(
        plain, headers={**request.headers, **harmless}, fields={**plain.fields, **form}
    )  # fmt: skip
    entry = fill(shelf, OPEN, plain)
    assert entry is not None
    transcript = ask(shelf, OPEN, other, path, entry, AT + 1)
    if path is HitKind.SEMANTIC and entry.exact_only:
        return
    reply = transcript.immediate()
    streams = form["stream"] is True
    assert dict(reply.headers)["content-type"] == ("text/event-stream" if streams else "application/json")
    assert entry.completion.content.encode() in reply.body


tenants = st.text("abc ", max_size=2)


@settings(deadline=None)
@given(requests(), tenants, tenants, shelves, some(PATHS))
def test_a_trusted_header_alone_tells_tenants_apart(
    request: Request, one: str, other: str, shelf: Shelf, path: HitKind
) -> None:
    """And what the client sends as its credential does not matter then."""
    assume(one != other)
    plan = with_scope(Tenancy(TrustedHeader("x-tenant")))
    mine = replace(request, headers={**request.headers, "x-tenant": one})
    theirs = replace(request, headers={**request.headers, "x-tenant": other})
    same = replace(mine, headers={"authorization": "Bearer another", "x-tenant": one})
    entry = fill(shelf, plan, mine)
    assert (entry is None) is (not one.strip())
    assert ask(shelf, plan, theirs, path, entry, AT + 1).only(CacheHit) == []
    if entry is not None and not (entry.exact_only and path is HitKind.SEMANTIC):
        assert ask(shelf, plan, same, path, entry, AT + 1).only(CacheHit)


def with_scope(tenancy: Tenancy) -> Snapshot:
    return replace(OPEN, cache=replace(OPEN.cache, tenancy=tenancy))


@settings(deadline=None)
@given(requests(), shelves, some(PATHS))
def test_a_trusted_header_that_comes_twice_is_nobody(request: Request, shelf: Shelf, path: HitKind) -> None:
    plan = with_scope(Tenancy(TrustedHeader("x-tenant")))
    mine = replace(request, headers={**request.headers, "x-tenant": "a"})
    entry = fill(shelf, plan, mine)
    twice = replace(mine, headers={**mine.headers, "x-tenant": ("a", "a")})
    assert ask(shelf, plan, twice, path, entry, AT + 1).only(CacheHit) == []


scopes = some([Credential(), TrustedHeader("x-tenant"), TrustedHeader("x-other"), Shared()])


@settings(deadline=None)
@given(requests(), scopes, scopes, st.binary(max_size=4), st.binary(max_size=4), shelves, some(PATHS))
def test_routers_that_tell_tenants_by_other_means_share_nothing(
    request: Request, one: Any, other: Any, key: bytes, other_key: bytes, shelf: Shelf, path: HitKind
) -> None:
    assume((one, key) != (other, other_key))
    everywhere = replace(request, headers={**request.headers, "x-tenant": "Bearer k", "x-other": "Bearer k"})
    entry = fill(shelf, with_scope(Tenancy(one, key)), everywhere)
    assert entry is not None
    transcript = ask(shelf, with_scope(Tenancy(other, other_key)), everywhere, path, entry, AT + 1)
    assert transcript.only(CacheHit) == []


@settings(deadline=None)
@given(requests(), keys, shelves, some(PATHS))
def test_only_an_explicit_configuration_shares_with_everybody(
    request: Request, key: str | None, shelf: Shelf, path: HitKind
) -> None:
    plan = with_scope(Tenancy(Shared()))
    stranger = replace(request, headers={"authorization": key})
    entry = fill(shelf, plan, request)
    assert entry is not None
    if entry.exact_only and path is HitKind.SEMANTIC:
        return
    assert ask(shelf, plan, stranger, path, entry, AT + 1).only(CacheHit)


said = (("user", "What is a list?"), ("assistant", "A sequence."))
PLAIN = Request(TEXT)
word_for_word = some(
    [
        PLAIN,
        Request("yes", said),
        Request("continue", said),
        Request("and in Python?", said),
        Request("Make it shorter with simple words for children", said),
        Request(TEXT, fields={"tools": [{"type": "function"}]}),
    ]
)


@settings(deadline=None)
@given(word_for_word, some([" ", "!", " please", " yes"]), shelves, some(PATHS))
def test_what_is_asked_word_for_word_gets_no_answer_to_other_words(
    request: Request, more: str, shelf: Shelf, path: HitKind
) -> None:
    mine = replace(request, headers={"authorization": "Bearer k"})
    # What says enough is asked by meaning too, but not on the exact path.
    assume(path is HitKind.EXACT or request != PLAIN)
    entry = fill(shelf, OPEN, mine)
    assert entry is not None
    # An identical request under way is found by its id; other words have another one.
    landed = entry if path is not HitKind.COALESCED else None
    other = replace(mine, text=mine.text + more)
    assert ask(shelf, OPEN, other, path, landed, AT + 1).only(CacheHit) == []


def test_questions_are_what_paths_are_closed_by() -> None:
    """A new way to ask for an answer needs a place in these tests."""
    assert {kind.__name__ for kind in Question.__args__} == {
        "Analyse",
        "Compare",
        "LookupExact",
        "LookupSimilar",
        "Join",
    }
    assert set(PATHS) == {HitKind.EXACT, HitKind.SEMANTIC, HitKind.COALESCED, HitKind.STALE}

"""The invariants of one exchange, over whatever clients, ports and upstreams may do.

I1 one reply of the same kind per message · I2 nothing after ImmediateReply or Close · I3 how a body is
split changes nothing · I4 the client's bytes are the upstream's · I5 stored at most once, only complete
answers, never after the peer left · I6 a failing port never fails a request · I7 held bytes are bounded ·
I8 the decision agrees with its evidence · I11 no hit crosses a partition.
"""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.exchange.effects import (
    CacheHit,
    Close,
    ImmediateReply,
    LookupExact,
    LookupSimilar,
    Phase,
    Reply,
    Store,
)
from router_extproc.exchange.events import (
    Event,
    PeerClosed,
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.exchange.exchange import LEGAL, Exchange
from router_extproc.exchange.stages import Forwarded, Recording
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.decide import Rule, decide
from tests.support.play import (
    AT,
    PLAN,
    Ports,
    Transcript,
    analysis,
    chat_body,
    chat_headers,
    feed,
    pieces,
    play,
    response_headers,
    vector,
)

PHASES = {
    RequestHeaders: Phase.REQUEST_HEADERS,
    RequestBody: Phase.REQUEST_BODY,
    RequestTrailers: Phase.REQUEST_TRAILERS,
    ResponseHeaders: Phase.RESPONSE_HEADERS,
    ResponseBody: Phase.RESPONSE_BODY,
    ResponseTrailers: Phase.RESPONSE_TRAILERS,
}

failures = st.sampled_from(list(Failure))
texts = st.text(st.characters(codec="utf-8"), max_size=40)


@dataclass(frozen=True, slots=True)
class Upstream:
    """An answer, and whether a client that reads all of it has a complete message."""

    headers: ResponseHeaders
    body: bytes
    complete: Completion | None


WORKING = Ports()
"""Every port works and nothing is found, so that the answer comes from upstream and is recorded."""


@st.composite
def upstreams(draw: st.DrawFn, spoilt: bool = True) -> Upstream:
    """Answers; with `spoilt` some have another status or break off."""
    finish = draw(st.sampled_from(["stop", "stop", "length"]))
    completion = Completion("large", draw(texts.filter(bool)), finish)
    event_stream = draw(st.booleans())
    content_type = "text/event-stream" if event_stream else "application/json"
    body = (
        render_sse(completion, "chatcmpl-1", 1, draw(st.booleans()))
        if event_stream
        else render_json(completion, "chatcmpl-1", 1)
    )
    status, cut = "200", len(body)
    if spoilt:
        status = draw(st.sampled_from(["200", "200", "200", "500", "429"]))
        cut = draw(st.one_of(st.just(len(body)), st.integers(0, len(body) - 1)))
    # What a cut leaves out matters unless it is the blank line after [DONE].
    whole = cut == len(body) and status == "200" and completion.finish_reason == "stop"
    return Upstream(response_headers(status, content_type), body[:cut], completion if whole else None)


@st.composite
def scripts(draw: st.DrawFn) -> Ports:
    """Ports that work, fail, propose entries of this partition or leak those of another."""

    def candidates(partition: str) -> list[Candidate]:
        found = []
        for similarity, own, text in proposals:
            found.append(Candidate(entry(partition if own else "another", text), similarity))
        return found

    proposals = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0.5, 0.84, 0.85, 0.99, 1.0]),
                st.booleans(),
                st.sampled_from(["Add 2 and 2.", "Sum 2 and 2.", "Add 2 and 3."]),
            ),
            max_size=3,
        )
    )
    broken = {
        name: draw(st.one_of(st.none(), st.none(), failures)) for name in ("exact", "analyse", "similar")
    }
    share = draw(st.floats(0, 1))
    return Ports(
        exact=lambda effect: broken["exact"] or candidates(effect.partition)[:1],
        analyse=lambda effect: broken["analyse"] or analysis(math=share, history=1 - share),
        similar=lambda effect: broken["similar"] or candidates(effect.partition),
    )


def entry(partition: str, text: str) -> Entry:
    done = Completion("large", f"from {partition}", "stop")
    return Entry("e", partition, text, vector(), done, "large", "math", True, AT - 5, AT + 5)


cuts = st.lists(st.integers(0, 10_000), max_size=6)
asks = st.sampled_from([chat_headers(), chat_headers(credential="")])
forms = st.sampled_from(
    [
        chat_body(),
        chat_body('{"model":"plain","messages":[{"role":"user","content":"Add 2 and 2."}],"stream":true}'),
        RequestBody(b"{", True),
    ]
)


def conversation(ask: Event, form: Event, upstream: Upstream, at: list[int], trailers: bool) -> list[Event]:
    body: list[Event] = [*pieces(upstream.body, at, ends=not trailers)]
    return [ask, form, upstream.headers, *body, *([ResponseTrailers()] if trailers else [])]


@given(asks, forms, upstreams(), cuts, st.booleans(), scripts(), st.one_of(st.none(), st.integers(0, 9)))
def test_i1_i2_i4_every_message_has_one_reply_of_its_kind_and_no_response_is_changed(
    ask: Event,
    form: Event,
    upstream: Upstream,
    at: list[int],
    trailers: bool,
    ports: Ports,
    leaves: int | None,
) -> None:
    messages = conversation(ask, form, upstream, at, trailers)
    if leaves is not None:
        messages = [*messages[:leaves], PeerClosed()]
    transcript = play(messages, ports)
    for event, effects in transcript.steps:
        replies = [e for e in effects if isinstance(e, Reply | ImmediateReply)]
        if isinstance(event, PeerClosed):
            assert replies == []
            continue
        [reply] = replies
        if isinstance(reply, ImmediateReply):
            assert isinstance(event, RequestBody)
            assert not any(isinstance(e, Close | Store) for e in effects)
            continue
        assert reply.phase is PHASES[type(event)]
        if not isinstance(event, RequestBody):
            assert reply.body is None
        if isinstance(event, ResponseBody | ResponseTrailers):
            assert reply == Reply(reply.phase)
        if any(isinstance(e, Close) for e in effects):
            assert isinstance(effects[-1], Close)


@given(asks, forms, upstreams(), cuts, cuts, st.booleans(), scripts())
def test_i3_how_a_body_is_split_changes_nothing(
    ask: Event, form: Event, upstream: Upstream, one: list[int], other: list[int], end: bool, ports: Ports
) -> None:
    def outcome(at: list[int]) -> list[object]:
        effects = play(conversation(ask, form, upstream, at, end), ports).effects
        kept = [e for e in effects if not (isinstance(e, Reply) and e.phase is Phase.RESPONSE_BODY)]
        return [replace(e.entry, vector=vector()).completion if isinstance(e, Store) else e for e in kept]

    first, second = outcome(one), outcome(other)
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        if not isinstance(a, LookupSimilar):
            assert a == b


@given(upstreams(spoilt=False), st.data())
def test_i3_whatever_the_pieces_a_complete_answer_is_stored_as_it_is(
    upstream: Upstream, data: st.DataObject
) -> None:
    """Pieces may begin and end anywhere: at line ends and inside characters too."""
    at = data.draw(st.lists(st.integers(0, len(upstream.body)), max_size=40))
    messages = conversation(chat_headers(), chat_body(), upstream, at, data.draw(st.booleans()))
    stored = [store.entry.completion for store in play(messages, WORKING).stored()]
    assert stored == ([upstream.complete] if upstream.complete else [])


@given(upstreams(spoilt=False), cuts)
def test_i5_an_answer_whose_client_left_before_its_end_is_not_stored(
    upstream: Upstream, at: list[int]
) -> None:
    """Even when every byte of it had passed: without the end nobody knows that it was the end."""
    body = pieces(upstream.body, at, ends=False)
    transcript = play([chat_headers(), chat_body(), upstream.headers, *body, PeerClosed()], WORKING)
    assert transcript.stored() == []


@given(forms, upstreams(), cuts, st.booleans(), scripts(), st.one_of(st.none(), st.integers(0, 9)))
def test_i5_only_complete_answers_are_stored_once_and_never_after_the_peer_left(
    form: Event, upstream: Upstream, at: list[int], trailers: bool, ports: Ports, leaves: int | None
) -> None:
    messages = conversation(chat_headers(), form, upstream, at, trailers)
    if leaves is not None:
        messages = [*messages[:leaves], PeerClosed()]
    stored = play(messages, ports).stored()
    assert len(stored) <= 1
    if leaves is not None and leaves < len(conversation(chat_headers(), form, upstream, at, trailers)):
        assert stored == []
    for store in stored:
        assert store.entry.completion.finish_reason == "stop"
        if upstream.complete is not None:
            assert store.entry.completion == upstream.complete
        else:
            # The cut took the last line ends only: every byte of the message had passed.
            assert upstream.body.rstrip().endswith(b"[DONE]")


@given(st.one_of(st.none(), failures), st.one_of(st.none(), failures), st.one_of(st.none(), failures))
def test_i6_a_failing_port_never_fails_a_request(
    exact: Failure | None, analyse: Failure | None, similar: Failure | None
) -> None:
    ports = Ports(
        exact=lambda effect: exact or (),
        analyse=lambda effect: analyse or analysis(),
        similar=lambda effect: similar or (),
    )
    assert play([chat_headers(), chat_body()], ports).forwarded()


@given(st.integers(0, 9000), st.sampled_from([b"x", b" ", b"\n", b"data: x\n"]), st.booleans(), cuts)
def test_i7_the_recorder_never_holds_more_than_its_limit(
    size: int, filler: bytes, event_stream: bool, at: list[int]
) -> None:
    body = (filler * size)[:size]
    content_type = "text/event-stream" if event_stream else "application/json"
    exchange = Exchange(PLAN, "x1")
    script = Ports()
    opening: list[Event] = [chat_headers(), chat_body(), response_headers(content_type=content_type)]
    messages: list[Event] = [*opening, *pieces(body, at, ends=False)]
    for message in messages:
        feed(exchange, message, script)
        if isinstance(exchange.stage, Recording):
            # Of a stream: text, and as much again of an unfinished event.
            parts = 2 if event_stream else 1
            assert exchange.stage.recorder.held <= parts * PLAN.cache.max_answer_bytes


@given(st.dictionaries(st.sampled_from(["math", "history", "law", "other"]), st.floats(0, 1), min_size=1))
def test_i8_a_decision_agrees_with_its_evidence(domains: dict[str, float]) -> None:
    decision = decide(PLAN.routing, None, analysis(**domains))
    label, share = decision.probabilities[0]
    assert share == max(domains.values()) == decision.confidence
    assert dict(decision.probabilities) == domains
    confident = share >= PLAN.routing.threshold
    assert decision.category == (label if confident else "")
    expected = PLAN.routing.routes.get(label) if confident else None
    assert decision.route == (expected or PLAN.routing.default)
    assert (decision.rule is Rule.CATEGORY) == (expected is not None)


@given(scripts())
def test_i11_no_hit_crosses_a_partition(ports: Ports) -> None:
    partitions: list[str] = []

    def watched(effect: LookupExact) -> object:
        partitions.append(effect.partition)
        return ports.exact(effect)

    transcript: Transcript = play(
        [chat_headers(), chat_body()],
        Ports(watched, ports.analyse, ports.similar),  # type: ignore[arg-type]
    )
    if any(isinstance(e, CacheHit) for e in transcript.effects):
        assert f"from {partitions[0]}".encode() in transcript.immediate().body


@given(st.data())
def test_the_table_is_total(data: st.DataObject) -> None:
    """Every event that no row of the table names ends the stream; none raises."""
    events: list[Event] = [
        chat_headers(),
        chat_body(),
        RequestTrailers(),
        response_headers(),
        *pieces(b"{}", ()),
        ResponseTrailers(),
        PeerClosed(),
    ]
    chosen = data.draw(st.lists(st.sampled_from(events), max_size=8))
    exchange = Exchange(PLAN, "x1")
    script = Ports()
    for event in chosen:
        feed(exchange, event, script)


def test_the_table_names_every_stage() -> None:
    assert {stage.__name__ for stage in LEGAL} == {
        "Start", "AwaitBody", "AwaitExact", "AwaitAnalysis", "AwaitSimilar", "Forwarded", "Recording", "Done",
    }  # fmt: skip
    assert set(LEGAL[Forwarded]) == {RequestTrailers, ResponseHeaders}

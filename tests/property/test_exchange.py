"""The invariants of one exchange, over whatever clients, ports and upstreams may do.

I1 one reply of the same kind per message (an immediate one to a body, or to the headers of a failing model's
answer) · I2 nothing after ImmediateReply or Close · I3 how a body is
split changes nothing · I4 the client's bytes are the upstream's · I5 stored at most once, only complete
answers, never after the peer left · I6 a failing port never fails a request · I7 held bytes are bounded ·
I8 the decision agrees with its evidence · I11 no hit crosses a partition · I12 what is under way ends once ·
I13 nothing that a guard refuses goes upstream or into the cache, and nothing found by meaning answers before
the guards have spoken. Beside them: a header of the client
never makes the cache do more, and lookups never take longer than their budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.completion import Completion
from router_extproc.base.headers import Headers
from router_extproc.base.names import VSR_CACHE_CONTROL
from router_extproc.base.refusals import Failure, Guarded, Rejection, Waited
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import MAX_DOUBTFUL, Consent
from router_extproc.exchange.effects import (
    Analyse,
    CacheHit,
    Close,
    Compare,
    Finished,
    FirstToken,
    HitKind,
    ImmediateReply,
    Join,
    Land,
    LookupExact,
    LookupSimilar,
    Phase,
    Question,
    Rejected,
    Reply,
    RequestGuarded,
    Sent,
    Store,
    Verify,
)
from router_extproc.exchange.events import (
    Alone,
    Event,
    Leads,
    PeerClosed,
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.exchange.exchange import LEGAL, Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import Forwarded, Recording
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, decide
from router_extproc.routing.facts import Facts
from router_extproc.routing.reasons import Rule
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.world import World
from router_extproc.screening.policy import (
    Action,
    Beyond,
    GuardPolicy,
    ModelPii,
    OnError,
    PiiPolicy,
    ScreeningPolicy,
    Strictness,
)
from router_extproc.screening.reading import Screening
from tests.support.play import (
    ANSWER,
    AT,
    PLAN,
    Ports,
    analysis,
    chat_body,
    chat_headers,
    entry,
    feed,
    pieces,
    plan_with,
    play,
    response_headers,
)
from tests.support.ports import FakeClock

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
        status = draw(st.sampled_from(["200", "200", "500", "429"]))
        cut = draw(st.one_of(st.just(len(body)), st.integers(0, len(body) - 1)))
    # What a cut leaves out matters unless it is the blank line after [DONE].
    whole = cut == len(body) and status == "200" and completion.finish_reason == "stop"
    return Upstream(response_headers(status, content_type), body[:cut], completion if whole else None)


ALL_PATHS = plan_with(stale_grace=30.0, verify_share=0.5)
"""Every stage there is without a verifier: some hits are compared, and what expired stands in for a model."""
VERIFYING = plan_with(stale_grace=30.0, verify_share=0.5, verifier=Consent(0.5, 0.5))
LEARNING = replace(VERIFYING, learns=True, routing=replace(PLAN.routing, session=SessionPolicy.PIN))
"""The same, and every answer is watched to learn how the models do."""
plans = st.sampled_from([ALL_PATHS, VERIFYING, LEARNING])

proposals = st.lists(
    st.tuples(
        st.sampled_from([0.5, 0.84, 0.85, 0.99, 1.0]),
        st.booleans(),
        st.sampled_from(["Add 2 and 2.", "Please add 2 and 2.", "Now add 2 and 2.", "Add 2 and 3."]),
        st.booleans(),
    ),
    max_size=5,
)


def candidates(partition: str, proposed: Sequence[tuple[float, bool, str, bool]]) -> list[Candidate]:
    """Entries of this partition, or leaked from another; live, or expired."""
    found = []
    for similarity, own, text, live in proposed:
        place = partition if own else "another"
        said = Completion("large", f"from {place}", "stop")
        lives = AT + 5 if live else AT - 1
        found.append(Candidate(entry(place, text, completion=said, expires_at=lives), similarity))
    return found


UNANSWERED: list[Leads | Alone] = [Leads(), Alone(Waited.TIMEOUT), Alone(Waited.LEADER_GAVE_UP)]


@st.composite
def scripts(draw: st.DrawFn) -> Ports:
    """Ports that work, fail, propose entries of this partition or leak those of another."""
    exact, near, stale, waited = (draw(proposals) for _ in range(4))
    if draw(st.booleans()):  # or what is expired would rarely be asked for: something else answers before
        exact, near, waited = [], [], []
        stale = [(1.0, True, "Add 2 and 2.", False), *stale]
    names = ("exact", "analyse", "similar", "stale")
    broken = {name: draw(st.one_of(st.none(), st.none(), failures)) for name in names}
    alone = draw(st.sampled_from(UNANSWERED))
    share = draw(st.floats(0, 1))
    spoken = draw(st.lists(st.one_of(st.sampled_from([0.0, 0.49, 0.5, 1.0, None]), failures), min_size=1))
    asked: list[Compare] = []
    partitions: list[str] = []

    def looked_up(effect: LookupExact | LookupSimilar) -> Sequence[Candidate] | Failure:
        partitions.append(effect.partition)
        if effect.grace:
            return broken["stale"] or candidates(effect.partition, stale)
        if isinstance(effect, LookupExact):
            return broken["exact"] or candidates(effect.partition, exact[:1])
        return broken["similar"] or candidates(effect.partition, near)

    def joined(effect: Join) -> Leads | Alone | Candidate:
        landed = candidates(partitions[-1], waited)
        return landed[0] if landed else alone

    def same(effect: Compare) -> float | Failure | None:
        asked.append(effect)
        return spoken[len(asked) % len(spoken)]

    return Ports(
        exact=looked_up,
        same=same,
        analyse=lambda effect: broken["analyse"] or analysis(math=share, history=1 - share),
        similar=looked_up,
        join=joined,
    )


def after(reply: Reply | ImmediateReply, effects: Sequence[Any]) -> Sequence[Any]:
    [place] = [index for index, effect in enumerate(effects) if effect is reply]
    return effects[place + 1 :]


cuts = st.lists(st.integers(0, 10_000), max_size=6)
asks = st.sampled_from([chat_headers(), chat_headers(), chat_headers(credential="")])
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


@settings(deadline=None, max_examples=200)
@given(
    asks, forms, upstreams(), cuts, st.booleans(), scripts(), st.one_of(st.none(), st.integers(0, 9)), plans
)
def test_i1_i2_i4_every_message_has_one_reply_of_its_kind_and_no_response_is_changed(
    ask: Event,
    form: Event,
    upstream: Upstream,
    at: list[int],
    trailers: bool,
    ports: Ports,
    leaves: int | None,
    plan: Snapshot,
) -> None:
    messages = conversation(ask, form, upstream, at, trailers)
    if leaves is not None:
        messages = [*messages[:leaves], PeerClosed()]
    transcript = play(messages, ports, plan)
    for event, effects in transcript.steps:
        replies = [e for e in effects if isinstance(e, Reply | ImmediateReply)]
        if isinstance(event, PeerClosed):
            assert replies == []
            continue
        [reply] = replies
        if isinstance(reply, ImmediateReply):
            # In place of an upstream's error a cached answer may come as late as its headers.
            if any(isinstance(e, CacheHit) and e.kind is HitKind.STALE for e in effects):
                assert isinstance(event, ResponseHeaders)
            assert isinstance(event, RequestBody | ResponseHeaders)
            if isinstance(event, ResponseHeaders):
                assert event.headers.get(":status") != "200"
            assert not any(isinstance(e, Close | Store | Verify | Question) for e in after(reply, effects))
            continue
        assert reply.phase is PHASES[type(event)]
        if not isinstance(event, RequestBody):
            assert reply.body is None
        if isinstance(event, ResponseBody | ResponseTrailers):
            assert reply == Reply(reply.phase)
        if any(isinstance(e, Close) for e in effects):
            assert isinstance(effects[-1], Close)


@settings(deadline=None)
@given(asks, forms, upstreams(), cuts, cuts, st.booleans(), scripts(), st.sampled_from([1.0, 0.0, None]))
def test_i3_how_a_body_is_split_changes_nothing(
    ask: Event,
    form: Event,
    upstream: Upstream,
    one: list[int],
    other: list[int],
    end: bool,
    ports: Ports,
    said: float | None,
) -> None:
    steady = replace(ports, same=lambda effect: said)

    def outcome(at: list[int]) -> list[object]:
        effects = play(conversation(ask, form, upstream, at, end), steady, VERIFYING).effects
        kept = [e for e in effects if not (isinstance(e, Reply) and e.phase is Phase.RESPONSE_BODY)]
        return [plain(effect) for effect in kept]

    assert outcome(one) == outcome(other)


def plain(effect: object) -> object:
    """What of an effect can be compared: not the vector it carries."""
    match effect:
        case Store(entry=kept):
            return ("store", kept.completion)
        case Land(candidate=landed):
            return ("land", landed and landed.entry.completion)
        case Verify(hit=hit, fresh=fresh):
            return ("verify", hit.entry.completion, fresh)
        case LookupSimilar():
            return ("look up", effect.partition, effect.limit, effect.timeout, effect.grace)
        case _:
            return effect


@settings(deadline=None)
@given(upstreams(spoilt=False), st.data())
def test_i3_whatever_the_pieces_a_complete_answer_is_stored_as_it_is(
    upstream: Upstream, data: st.DataObject
) -> None:
    """Pieces may begin and end anywhere: at line ends and inside characters too."""
    at = data.draw(st.lists(st.integers(0, len(upstream.body)), max_size=40))
    messages = conversation(chat_headers(), chat_body(), upstream, at, data.draw(st.booleans()))
    stored = [store.entry.completion for store in play(messages, WORKING).stored()]
    assert stored == ([upstream.complete] if upstream.complete else [])


@settings(deadline=None)
@given(upstreams(spoilt=False), cuts)
def test_i5_an_answer_whose_client_left_before_its_end_is_not_stored(
    upstream: Upstream, at: list[int]
) -> None:
    """Even when every byte of it had passed: without the end nobody knows that it was the end."""
    body = pieces(upstream.body, at, ends=False)
    transcript = play([chat_headers(), chat_body(), upstream.headers, *body, PeerClosed()], WORKING)
    assert transcript.stored() == []


@settings(deadline=None)
@given(forms, upstreams(), cuts, st.booleans(), scripts(), st.one_of(st.none(), st.integers(0, 9)), plans)
def test_i5_only_complete_answers_are_stored_once_and_never_after_the_peer_left(
    form: Event,
    upstream: Upstream,
    at: list[int],
    trailers: bool,
    ports: Ports,
    leaves: int | None,
    plan: Snapshot,
) -> None:
    messages = conversation(chat_headers(), form, upstream, at, trailers)
    if leaves is not None:
        messages = [*messages[:leaves], PeerClosed()]
    transcript = play(messages, ports, plan)
    stored = transcript.stored()
    assert len(stored) <= 1
    # Those who wait are given what is stored, or nothing; and nothing is compared that may not be stored.
    assert [landed for landed in transcript.landed() if landed and landed.entry.expires_at > AT + 5] == [
        Candidate(store.entry, 1.0) for store in stored
    ]
    assert [verify.fresh for verify in transcript.only(Verify)] in ([], [s.entry.completion for s in stored])
    if leaves is not None and leaves < len(conversation(chat_headers(), form, upstream, at, trailers)):
        assert stored == []
    for store in stored:
        assert store.entry.completion.finish_reason == "stop"
        if upstream.complete is not None:
            assert store.entry.completion == upstream.complete
        else:
            # The cut took the last line ends only: every byte of the message had passed.
            assert upstream.body.rstrip().endswith(b"[DONE]")


broken = st.one_of(st.none(), failures)


@settings(deadline=None)
@given(broken, broken, broken, failures, st.sampled_from(UNANSWERED), st.integers(200, 599))
def test_i6_a_failing_port_never_fails_a_request(
    exact: Failure | None,
    analyse: Failure | None,
    similar: Failure | None,
    same: Failure,
    joined: Leads | Alone,
    status: int,
) -> None:
    """Nor does it hide what the model answered."""
    ports = Ports(
        exact=lambda effect: exact or (),
        analyse=lambda effect: analyse or analysis(),
        similar=lambda effect: similar or [Candidate(entry(effect.partition, "Please add 2 and 2."), 1.0)],
        same=lambda effect: same,
        join=lambda effect: joined,
    )
    transcript = play([chat_headers(), chat_body(), response_headers(str(status))], ports, VERIFYING)
    assert transcript.forwarded()
    last = transcript.replies()[-1]
    assert isinstance(last, Reply)
    assert (last.phase, last.body) == (Phase.RESPONSE_HEADERS, None)


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["math", "history", "law", "other"]), st.floats(0, 1), min_size=1))
def test_i8_a_decision_agrees_with_its_evidence(domains: dict[str, float]) -> None:
    decision = decide(PLAN.routing, None, Facts("Add 2 and 2."), analysis(**domains), World())
    assert isinstance(decision, Decision)
    label, share = decision.trace.domain[0]
    assert share == max(domains.values()) == decision.confidence
    assert dict(decision.trace.domain) == domains
    confident = share >= PLAN.routing.threshold
    assert decision.category == (label if confident else "")
    expected = PLAN.routing.categories.get(label) if confident else None
    assert decision.route == (expected or PLAN.routing.default).candidates[0]
    assert (decision.rule is Rule.CATEGORY) == (expected is not None)


@settings(deadline=None)
@given(scripts(), st.sampled_from(["200", "503"]), plans)
def test_i11_no_hit_crosses_a_partition(ports: Ports, status: str, plan: Snapshot) -> None:
    """On no path: exact, by meaning, by waiting, stale."""
    transcript = play([chat_headers(), chat_body(), response_headers(status)], ports, plan)
    lookups = [e for e in transcript.effects if isinstance(e, LookupExact | LookupSimilar)]
    assert len({lookup.partition for lookup in lookups}) == 1
    for hit in transcript.only(CacheHit):
        assert f"from {lookups[0].partition}".encode() in transcript.immediate().body
        assert hit.kind is HitKind.STALE or hit.age == 5.0


@settings(deadline=None, max_examples=300)
@given(scripts(), st.sampled_from(["200", "503"]))
def test_with_a_verifier_other_words_answer_only_if_it_accepted_them(ports: Ports, status: str) -> None:
    """And it is asked about few, about no entry that could not answer, and not after it accepted one."""
    heard: list[tuple[Compare, float | Failure | None]] = []

    def same(effect: Compare) -> float | Failure | None:
        said = ports.same(effect)
        heard.append((effect, said))
        return said

    messages: list[Event] = [chat_headers(), chat_body(), response_headers(status)]
    transcript = play(messages, replace(ports, same=same, join=lambda effect: Leads()), VERIFYING)
    lookups = [e for e in transcript.effects if isinstance(e, LookupSimilar)]
    assert len(heard) <= MAX_DOUBTFUL * len(lookups)
    for question, _ in heard:
        assert question.text == "Add 2 and 2."
        assert question.other in ("Please add 2 and 2.", "Now add 2 and 2.")
        assert 0 < question.timeout <= VERIFYING.analysis_timeout
    accepted = [said for _, said in heard if isinstance(said, float) and said >= 0.5]
    assert len(accepted) <= len(lookups)
    for hit in transcript.only(CacheHit):
        other_words = "x-vsr-cache-similarity" in dict(transcript.immediate().headers)
        assert other_words is (hit.probability is not None)
        assert hit.probability is None or hit.probability == heard[-1][1]
        assert hit.probability is None or hit.probability >= 0.5


@settings(deadline=None)
@given(st.integers(500, 599), forms, st.sampled_from([kind.value for kind in HitKind]))
def test_i2_nothing_follows_an_answer_of_the_cache_on_any_path(status: int, form: Event, path: str) -> None:
    """The paths are rarely all reached by chance."""
    ask = chat_headers()
    transcript = play([ask, form, response_headers(str(status))], one_path(path), plan_with(stale_grace=30.0))
    for event, effects in transcript.steps:
        [reply] = [effect for effect in effects if isinstance(effect, Reply | ImmediateReply)]
        if isinstance(reply, ImmediateReply):
            stale = path == "stale" and not transcript.only(Rejected)
            assert isinstance(event, ResponseHeaders if stale else RequestBody)
            assert not any(isinstance(e, Close | Store | Verify | Question) for e in after(reply, effects))


directives = st.one_of(
    st.sampled_from(["no-cache", "no-store", "bypass", "public", "max-age", "ttl=", "=5", "max-age=-1", ""]),
    st.builds("max-age={}".format, st.integers(0, 10**10)),
    st.builds("ttl={}".format, st.integers(0, 10**10)),
    st.text(st.characters(codec="latin-1"), max_size=12),
)
controls = st.lists(
    st.builds(", ".join, st.lists(st.one_of(directives, directives.map(str.upper)), max_size=3)), max_size=2
)


KINDS = {
    CacheHit: "answer",
    Store: "keep",
    Land: "land",
    Compare: "ask the verifier",
    Join: "join",
    Verify: "compare",
    LookupExact: "ask",
    LookupSimilar: "ask by meaning",
}


def one_path(path: str) -> Ports:
    """A world that has an answer on this path only. By meaning it is found in other words."""
    here: list[str] = []

    def found() -> Candidate:
        text = "Please add 2 and 2." if path == "semantic" else "Add 2 and 2."
        return Candidate(entry(here[-1], text), 1.0)

    def looked_up(effect: LookupExact | LookupSimilar) -> Sequence[Candidate]:
        here.append(effect.partition)
        kind = "stale" if effect.grace else "exact" if isinstance(effect, LookupExact) else "semantic"
        return [found()] if kind == path else []

    def joined(effect: Join) -> Leads | Candidate:
        return found() if path == "coalesced" else Leads()

    return Ports(exact=looked_up, similar=looked_up, join=joined)


@settings(deadline=None)
@given(
    controls,
    st.sampled_from(["nowhere", *(kind.value for kind in HitKind)]),
    upstreams(),
    st.sampled_from([0.0, 1.0]),
)
def test_a_cache_control_of_the_client_never_makes_the_cache_do_more(
    values: list[str], path: str, upstream: Upstream, share: float
) -> None:
    """Whatever it does with the field, it does without it. (Where nothing else has an answer: an answer that
    the client finds too old gives way to the next step, which without the field is not reached.)"""
    free = conversation(chat_headers(), chat_body(), upstream, [], False)
    fields = [(name, value) for name, each in chat_headers().headers.fields.items() for value in each]
    fields += [(VSR_CACHE_CONTROL, value) for value in values]
    asked = RequestHeaders(Headers.of(fields), end_of_stream=False)
    plan = plan_with(stale_grace=30.0, verify_share=share, verifier=Consent(0.5, 0.5))
    transcript = play([asked, *free[1:]], one_path(path), plan)
    without = play(free, one_path(path), plan)
    done = {KINDS[type(e)] for e in transcript.effects if type(e) in KINDS} - {"land"}
    allowed = {KINDS[type(e)] for e in without.effects if type(e) in KINDS}
    if path in ("nowhere", "stale"):
        assert done <= allowed
    # A client that wants nothing kept is not sampled: it gets the hit that would have been compared.
    unsampled = play(free, one_path(path), plan_with(stale_grace=30.0, verifier=Consent(0.5, 0.5)))
    assert "answer" not in done or any(KINDS.get(type(e)) == "answer" for e in unsampled.effects)
    for store in transcript.stored():
        assert store.entry.expires_at <= AT + PLAN.cache.default.ttl
    names = {e.strip().lower().partition("=")[0] for value in values for e in value.split(",") if e.strip()}
    if names - {"no-cache", "no-store", "max-age", "ttl"}:
        assert done == set()
    if "no-cache" in names:
        assert done <= {"keep"}
    if "no-store" in names:
        assert not done & {"keep", "join"}
    for reply in transcript.replies():
        if isinstance(reply, Reply) and reply.clear_route_cache:
            assert VSR_CACHE_CONTROL in reply.edits.remove


@settings(deadline=None)
@given(st.lists(st.floats(-0.1, 0.2), min_size=3, max_size=3), st.one_of(st.none(), failures), st.booleans())
def test_lookups_of_one_message_never_get_more_than_their_budget(
    took: list[float], failed: Failure | None, hurried: bool
) -> None:
    clock, budget = FakeClock(AT), 0.05
    spent: list[float] = []

    def pace(effect: Question) -> None:
        seconds = took[len(spent) % 3]
        if isinstance(effect, LookupExact | LookupSimilar):
            assert 0 < effect.timeout <= budget - sum(spent) + 1e-6
            # The driver ends a lookup at its timeout.
            seconds = min(seconds, effect.timeout)
            spent.append(max(0.0, seconds))
        clock.advance(seconds)

    plan = plan_with(lookup_timeout=budget, coalesce_timeout=0.0 if hurried else 2.0)
    ports = Ports(exact=lambda effect: failed or (), pace=pace)
    assert play([chat_headers(), chat_body()], ports, plan, clock.now).forwarded()
    assert sum(spent) <= budget + 1e-6


@settings(deadline=None)
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
        "Start", "AwaitBody", "AwaitExact", "AwaitFlight", "AwaitAnalysis", "AwaitSimilar", "AwaitSame",
        "Forwarded", "AwaitStale", "AwaitStaleSame", "Recording", "Metering", "Done",
    }  # fmt: skip
    assert set(LEGAL[Forwarded]) == {RequestTrailers, ResponseHeaders}


@given(
    plan=st.sampled_from([LEARNING, LEARNING, ALL_PATHS]),
    script=st.one_of(st.just(WORKING), scripts()),
    upstream=upstreams(),
    pieces_at=cuts,
    ask=asks,
    body=st.sampled_from([True, True, False]),
)
def test_what_is_under_way_to_a_model_ends_once_and_only_where_it_began(
    plan: Snapshot, script: Ports, upstream: Upstream, pieces_at: list[int], ask: RequestHeaders, body: bool
) -> None:
    """I12: a request counts as under way from before it is let go until its answer is complete."""
    answer = pieces(upstream.body, pieces_at) if body else []
    transcript = play([ask, chat_body(), upstream.headers, *answer], script, plan)
    told = [each for each in transcript.effects if isinstance(each, Sent | FirstToken | Finished)]
    if not plan.learns or not any(isinstance(each, Sent) for each in told):
        assert told == []
        return
    assert isinstance(told[0], Sent)
    assert [type(each) for each in told].count(Sent) == 1
    assert [type(each) for each in told].count(Finished) <= 1
    assert [type(each) for each in told[1:]] in ([], [FirstToken], [Finished], [FirstToken, Finished])
    over = transcript.effects and isinstance(transcript.effects[-1], Close)
    assert any(isinstance(each, Finished) for each in told) or not over
    order = [each for each in transcript.effects if isinstance(each, Sent) or each is transcript.forwarded()]
    assert isinstance(order[0], Sent)


strictnesses = st.builds(Strictness, st.booleans(), st.sampled_from([0.5, 0.9]))
overrides = st.dictionaries(st.sampled_from(["math", "history", "law"]), strictnesses, max_size=2)
found_types = st.dictionaries(st.sampled_from(["PERSON", "US_SSN", "GPE"]), st.sampled_from([0.4, 0.6, 1.0]))
allowances = st.builds(ModelPii, st.booleans(), st.frozensets(st.sampled_from(["PERSON", "US_SSN", "GPE"])))
screening_policies = st.builds(
    ScreeningPolicy,
    st.builds(GuardPolicy, strictnesses, overrides, st.sampled_from(OnError), st.sampled_from(Action)),
    st.builds(
        PiiPolicy,
        strictnesses,
        overrides,
        st.fixed_dictionaries(dict.fromkeys(("small", "medium", "large", "plain"), allowances)),
        st.dictionaries(st.sampled_from(["math", "history"]), allowances, max_size=1),
        st.sampled_from(OnError),
    ),
    st.sampled_from([200, 403]),
    beyond=st.sampled_from(Beyond),
)
screenings = st.one_of(
    st.none(),
    st.builds(
        Screening,
        st.sampled_from([None, 0.0, 0.49, 0.5, 0.89, 0.9, 1.0]),
        types=found_types,
        skipped=st.sampled_from([0, 0, 9]),
        failed=st.sampled_from([(), (), (), ("guard",), ("pii",), ("guard", "pii")]),
    ),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the policy says of a request of category `key`, worked out again. `refused`: whoever would answer;
    `types` count; `found`: these, or an attack; `kept`: of its answer something may be."""

    key: str
    refused: bool
    types: frozenset[str]
    found: bool
    kept: bool


def expected(policy: ScreeningPolicy, said: Analysis | Failure) -> Expected:
    screening = None if isinstance(said, Failure) else said.screening
    key = ""
    if not isinstance(said, Failure):
        key = max(said.heads["domain"], key=said.heads["domain"].__getitem__)
    guard, pii = (each.overrides.get(key, each.default) for each in (policy.guard, policy.pii))
    asked = {name for name, each in (("guard", policy.guard), ("pii", policy.pii)) if each.enabled}
    failed = asked if screening is None else asked & set(screening.failed)
    attack = None if screening is None else screening.attack
    if attack is None:
        failed |= asked & {"guard"}
    high = attack is not None and attack >= guard.threshold
    types: set[str] = set()
    if screening is not None and pii.enabled:
        types = {name for name, score in screening.types.items() if score >= pii.threshold}
    acting = {"guard"} if guard.enabled and policy.guard.action is Action.BLOCK else set()
    acting |= {"pii"} if pii.enabled else set()
    closed = {"guard"} if policy.guard.on_error is OnError.BLOCK else set()
    closed |= {"pii"} if policy.pii.on_error is OnError.BLOCK else set()
    longer = screening is not None and screening.skipped > 0 and policy.beyond is Beyond.REFUSE
    refused = ("guard" in acting and high) or bool(failed & closed & acting) or bool(longer and acting)
    found = bool(types) or (policy.guard.enabled and high)
    return Expected(key, refused, frozenset(types), found, kept=not (found or failed))


well_formed = st.sampled_from(
    [
        chat_body(),
        chat_body('{"model":"plain","messages":[{"role":"user","content":"Add 2 and 2."}],"stream":true}'),
    ]
)

GUARDS = {Rejection.ATTACK, Rejection.PERSONAL_DATA, Rejection.UNSCREENED, Rejection.UNREAD}


@settings(deadline=None, max_examples=400)
@given(
    st.one_of(st.just(WORKING), scripts()),
    well_formed,
    upstreams(),
    asks,
    screenings,
    screening_policies,
    st.sampled_from([LEARNING, ALL_PATHS]),
)
def test_i13_what_a_guard_refuses_reaches_neither_a_model_nor_the_cache(
    ports: Ports,
    form: Event,
    upstream: Upstream,
    ask: RequestHeaders,
    screening: Screening | None,
    policy: ScreeningPolicy,
    base: Snapshot,
) -> None:
    """By name or by choice, with a cache or without; and what is found by meaning waits for the verdict."""
    heard: list[Analysis | Failure] = []

    def analyse(effect: Analyse) -> Analysis | Failure:
        said = ports.analyse(effect)
        assert effect.needs is not None
        assert (effect.needs.guard, effect.needs.pii) == (policy.guard.enabled, policy.pii.enabled)
        heard.append(said if isinstance(said, Failure) else replace(said, screening=screening))
        return heard[-1]

    plan = replace(base, screening=policy)
    messages = conversation(ask, form, upstream, [], False)
    transcript = play(messages, replace(ports, analyse=analyse), plan)
    effects = transcript.effects
    upstreams_asked = [e for e in effects if isinstance(e, Reply) and e.clear_route_cache]
    if not heard:  # a request that is none, or one that was answered word for word: it passed before
        assert upstreams_asked == []
        assert all(hit.kind in (HitKind.EXACT, HitKind.COALESCED) for hit in transcript.only(CacheHit))
        return
    wanted = expected(policy, heard[0])
    [asked_at] = [place for place, e in enumerate(effects) if isinstance(e, Analyse)]
    afterwards = effects[asked_at + 1 :]
    refused = [e.reason for e in afterwards if isinstance(e, Rejected) and e.reason in GUARDS]
    if wanted.refused or refused:
        assert upstreams_asked == []
        assert len(refused) == 1
        assert isinstance(transcript.replies()[-1], ImmediateReply)
    assert wanted.refused or all(reason is Rejection.PERSONAL_DATA for reason in refused)
    assert wanted.types or Rejection.PERSONAL_DATA not in refused
    for reply in upstreams_asked:
        model = dict(reply.edits.set)["x-selected-model"]
        assert not policy.pii.models[model].denies(wanted.types)
        assert not policy.pii.decisions.get(wanted.key, ModelPii()).denies(wanted.types)
    assert wanted.kept or not any(isinstance(e, Store | Verify) for e in afterwards)
    if wanted.found:
        assert all(e.candidate is None for e in afterwards if isinstance(e, Land))
    judged = {e.guard for e in afterwards if isinstance(e, RequestGuarded)}
    enabled = {name for name, each in (("guard", policy.guard), ("pii", policy.pii)) if each.enabled}
    assert judged == enabled or refused
    found = [place for place, e in enumerate(effects) if isinstance(e, LookupSimilar | Compare)]
    found += [place for place, e in enumerate(effects) if isinstance(e, CacheHit)]
    if found:
        assert min(found) > asked_at
        assert not refused
        assert not wanted.found
        spoken = {e.guard for e in effects[: min(found)] if isinstance(e, RequestGuarded)}
        assert spoken == enabled


@settings(deadline=None)
@given(
    st.sampled_from([0.0, 0.4]), st.frozensets(st.sampled_from(["PERSON", "GPE"])), screening_policies, forms
)
def test_i13_what_no_policy_forbids_passes(
    attack: float, types: frozenset[str], policy: ScreeningPolicy, form: Event
) -> None:
    """A guard that refuses everything would keep every promise of the test above."""
    found = Screening(attack, types=dict.fromkeys(types, 1.0))
    free = replace(policy, pii=replace(policy.pii, models={}, decisions={}))
    ports = Ports(analyse=lambda effect: replace(analysis(), screening=found))
    transcript = play([chat_headers(), form], ports, replace(PLAN, screening=free))
    assert not {e.reason for e in transcript.only(Rejected)} & GUARDS
    outcomes = {note.outcome for note in transcript.only(RequestGuarded)}
    assert outcomes <= {Guarded.PASSED, Guarded.FLAGGED}
    assert transcript.only(Rejected) or transcript.forwarded()


@settings(deadline=None, max_examples=200)
@given(
    st.frozensets(st.sampled_from(["small", "medium", "large", "plain"])),
    st.sampled_from(["math", "history", "law"]),
    st.sampled_from(["auto", "plain", "large"]),
    st.sampled_from([None, "small", "medium", "large"]),
    st.sampled_from([OnError.ALLOW, OnError.BLOCK]),
)
def test_i13_personal_data_reaches_only_models_that_may_see_it(
    closed: frozenset[str], category: str, asked: str, session: str | None, on_error: OnError
) -> None:
    """A model of the same category first, then the default, and nobody else; a session is no exception."""
    rules = dict.fromkeys(closed, ModelPii(allow_by_default=False))
    pii = PiiPolicy(Strictness(True, 0.5), models=rules, on_error=on_error)
    said = replace(analysis(**{category: 1.0}), screening=Screening(0.0, types={"US_SSN": 1.0}))
    ports = Ports(analyse=lambda effect: said, world=lambda effect: World(session_model=session))
    body = chat_body(f'{{"model":"{asked}","messages":[{{"role":"user","content":"Add 2 and 2."}}]}}')
    messages: list[Event] = [chat_headers(), body, response_headers(), *pieces(ANSWER)]
    transcript = play(messages, ports, replace(LEARNING, screening=ScreeningPolicy(pii=pii)))
    listed = (
        [route.model for route in PLAN.routing.categories[category].candidates] if category != "law" else []
    )
    wanted = [*listed, "medium"] if asked == "auto" else [asked]
    may = [model for model in wanted if model not in closed]
    chosen = [dict(e.edits.set)["x-selected-model"] for e in transcript.only(Reply) if e.clear_route_cache]
    assert chosen == may[:1]
    refused = [] if may else [Rejection.PERSONAL_DATA]
    assert [e.reason for e in transcript.only(Rejected)] == refused
    assert transcript.stored() == []
    assert transcript.only(LookupSimilar) == []
    assert transcript.landed() == [None]

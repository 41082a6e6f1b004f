"""The upstream's answer on its way to the client: never changed or held back, read if it may be stored."""

from collections.abc import Sequence
from dataclasses import replace

from router_extproc.base.headers import HeaderEdits, header_text
from router_extproc.base.names import INTERNAL, VSR_DECISION, VSR_INJECTED, VSR_RESPONSE_PATH
from router_extproc.base.refusals import Uncached, Verified
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Marks
from router_extproc.caching.policy import Bounds, Refused, choose, may_record, may_store, media_type
from router_extproc.exchange.comparing import Asking, Decided, begin, go_on
from router_extproc.exchange.effects import (
    Answered,
    Began,
    CacheSkipped,
    CacheVerified,
    Close,
    Effect,
    Finished,
    FirstToken,
    Flowing,
    HitKind,
    Land,
    LookupExact,
    LookupSimilar,
    Phase,
    PortFailed,
    Reply,
    ScreenAnswer,
    Store,
    Verify,
    Watch,
)
from router_extproc.exchange.events import (
    Compared,
    CompareFailed,
    LookupDone,
    LookupFailed,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.exchange.intake import Step
from router_extproc.exchange.notes import AnswerEnded, FirstPiece
from router_extproc.exchange.recorder import Recorder
from router_extproc.exchange.replaying import replay, selection_headers
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import (
    AwaitStale,
    AwaitStaleSame,
    Done,
    Fill,
    Forwarded,
    Metering,
    Recording,
)
from router_extproc.llm.meter import Meter

TELL_SECONDS = 0.5
"""Between two tellings that an answer flows: a token each millisecond need not be told."""


def on_request_trailers(stage: Forwarded, event: RequestTrailers, plan: Snapshot, at: float) -> Step:
    return stage, (Reply(Phase.REQUEST_TRAILERS),)


def on_response_headers(stage: Forwarded, event: ResponseHeaders, plan: Snapshot, at: float) -> Step:
    """Watch the body if it may fill the cache. In place of a failing model a cached answer may stand in."""
    answered = Answered(stage.decision.route.model, event.status, at - stage.client.started)
    fill = stage.fill
    if fill is None:
        return _measure(stage, event, plan, at, answered)
    lookup = _stand_in(fill, event.status, plan)
    if lookup is not None:
        return AwaitStale(stage, fill), (answered, *_ended(plan, at, event.status), lookup)
    refused = Uncached.EMPTY if event.end_of_stream else may_record(event.headers)
    if refused is not None:
        return _measure(stage, event, plan, at, answered, *_not_kept(fill, refused))
    event_stream = media_type(event.headers) == "text/event-stream"
    recorder = Recorder(event_stream=event_stream, max_bytes=plan.cache.max_answer_bytes)
    reply = Reply(Phase.RESPONSE_HEADERS, _said(stage), watch=Watch.STREAMED_RESPONSE)
    answered = replace(answered, streams=event_stream)
    return Recording(stage, fill, recorder, _meter(event)), (reply, *_began(plan), answered)


def _measure(
    stage: Forwarded, event: ResponseHeaders, plan: Snapshot, at: float, answered: Answered, *notes: Effect
) -> Step:
    """Let an answer pass that is not for the cache, watched only where the models' performance is learned and
    it is an answer."""
    status = event.status
    if not plan.learns or event.end_of_stream or not 200 <= status < 300:
        return _pass_on(stage, answered, *notes, *_ended(plan, at, status), Close())
    reply = Reply(Phase.RESPONSE_HEADERS, _said(stage), watch=Watch.STREAMED_RESPONSE)
    meter = _meter(event)
    answered = replace(answered, streams=meter.event_stream)
    return Metering(stage, status, meter), (reply, *_began(plan), answered, *notes)


def _meter(event: ResponseHeaders) -> Meter:
    media = media_type(event.headers)
    plain = event.headers.get("content-encoding", "identity") == "identity"
    readable = plain and media in ("application/json", "text/event-stream")
    return Meter(event_stream=media == "text/event-stream", readable=readable)


def _began(plan: Snapshot) -> tuple[Effect, ...]:
    return (Began(),) if plan.learns else ()


def _ended(plan: Snapshot, at: float, status: int, meter: Meter | None = None) -> tuple[Effect, ...]:
    if not plan.learns:
        return ()
    if meter is None:
        return (Finished(at, status),)
    return (Finished(at, status, meter.completion_tokens, meter.complete),)


def _first(stage: Recording | Metering, piece: bytes, at: float) -> tuple[Effect, ...]:
    """Told before the meter reads the piece."""
    meter = stage.meter
    if not meter.event_stream or meter.pieces or not piece:
        return ()
    meter.first_at = at
    forwarded = stage.forwarded
    return (FirstPiece(forwarded.decision.route.model, at - forwarded.client.started),)


def _over(stage: Recording | Metering, plan: Snapshot, at: float) -> tuple[Effect, ...]:
    """The answer came to its end, for the models' performance and for the record."""
    forwarded, meter = stage.forwarded, stage.meter
    seconds = at - forwarded.client.started
    note = AnswerEnded(
        model=forwarded.decision.route.model,
        seconds=seconds,
        usage=meter.usage,
        per_token=meter.per_token(at, seconds),
        complete=meter.complete,
    )
    status = stage.status if isinstance(stage, Metering) else 200
    return (*_ended(plan, at, status, meter), note)


def _fed(meter: Meter, piece: bytes, plan: Snapshot, at: float) -> tuple[Effect, ...]:
    """The meter reads a piece; the first one of a stream is its first token."""
    before = meter.pieces
    meter.feed(piece)
    if not plan.learns or not piece or at - meter.told_at < TELL_SECONDS:
        return ()
    meter.told_at = at
    return (FirstToken(at) if meter.event_stream and before == 0 else Flowing(at),)


def _pass_on(stage: Forwarded, *effects: Effect) -> Step:
    """Let the answer go to the client as it is, without the router."""
    return Done(), (Reply(Phase.RESPONSE_HEADERS, _said(stage)), *effects)


def _said(stage: Forwarded) -> HeaderEdits:
    """What the client is told of the choice. What an upstream says under our names would pass for ours."""
    decision = stage.decision
    said = (
        (VSR_RESPONSE_PATH, "upstream"),
        *selection_headers(decision.route.model, decision.category, stage.reasoning),
        *(((VSR_DECISION, header_text(decision.decision)),) if decision.decision else ()),
        (VSR_INJECTED, "true" if stage.prompted else "false"),
    )
    return HeaderEdits(set=said, remove=tuple(name for name in INTERNAL if name not in dict(said)))


def _stand_in(fill: Fill, status: int, plan: Snapshot) -> LookupExact | LookupSimilar | None:
    """What to ask the store for in place of an error, if anything: an expired answer, where the policy has a
    grace for it and the model failed; or the hit that was held back to be compared, whatever went wrong."""
    policy, use = plan.cache, fill.use
    held_back = fill.verify is not None and status != 200
    stale = policy.stale_grace > 0 and status >= 500
    if not use.control.asks or not (held_back or stale):
        return None
    partition, timeout, grace = use.identity.partition, policy.lookup_timeout, policy.stale_grace
    if fill.exact_only:
        return LookupExact(partition, use.identity.entry_id, timeout, grace)
    return LookupSimilar(partition, fill.vector, policy.candidates, timeout, grace)


def on_stale(stage: AwaitStale, event: LookupDone, plan: Snapshot, at: float) -> Step:
    # A store that was asked for one entry may bring another, and these texts are compared word for word.
    candidates = [
        candidate
        for candidate in event.candidates
        if candidate.entry.text == stage.fill.use.identity.text or not stage.fill.exact_only
    ]
    return _stand(stage, candidates, event.marks, plan, at)


def on_stale_failed(stage: AwaitStale, event: LookupFailed, plan: Snapshot, at: float) -> Step:
    return _stand(stage, (), event.marks, plan, at, (PortFailed("store", event.reason),))


def _stand(
    stage: AwaitStale,
    candidates: Sequence[Candidate],
    marks: Marks,
    plan: Snapshot,
    at: float,
    notes: tuple[Effect, ...] = (),
) -> Step:
    """The rule of a hit, with the grace after expiry, over what was found and what was held back."""
    fill = stage.fill
    known = candidates if fill.verify is None else (*candidates, fill.verify)
    bounds = Bounds(marks, at, plan.cache.stale_grace)
    choice = choose(plan.cache, fill.use, stage.forwarded.decision.cache_key, known, bounds)
    return _settle(stage, begin(choice, fill.use, plan, bounds), at, notes)


def on_stale_compared(
    stage: AwaitStaleSame, event: Compared | CompareFailed, plan: Snapshot, at: float
) -> Step:
    bounds = Bounds(event.marks, at, plan.cache.stale_grace)
    return _settle(stage.found, go_on(stage.doubt, event, stage.found.fill.use, plan, bounds), at)


def _settle(stage: AwaitStale, outcome: Asking | Decided, at: float, notes: tuple[Effect, ...] = ()) -> Step:
    """Ask the verifier, or answer in the model's place, or let its error pass."""
    if isinstance(outcome, Asking):
        return AwaitStaleSame(stage, outcome.doubt), (*notes, outcome.question)
    forwarded, fill, hit = stage.forwarded, stage.fill, outcome.choice.hit
    notes = (*notes, *outcome.failed)
    if hit is None:
        return _pass_on(forwarded, *notes, *_not_kept(fill, Uncached.STATUS), Close())
    kind = HitKind.EXACT if hit.entry.text == fill.use.identity.text else HitKind.SEMANTIC
    kind = HitKind.STALE if at >= hit.entry.expires_at else kind
    reply, note = replay(forwarded.client, fill.use, hit, kind, at, outcome.probability)
    landed = Land(None if kind is HitKind.STALE else hit)
    return Done(), (reply, landed, *notes, *_uncompared(fill), note)


def on_response_body(stage: Recording, event: ResponseBody, plan: Snapshot, at: float) -> Step:
    reply = Reply(Phase.RESPONSE_BODY)
    stage.recorder.feed(event.body)
    began = (*_first(stage, event.body, at), *_fed(stage.meter, event.body, plan, at))
    if not event.end_of_stream:
        return stage, (reply, *began)
    return Done(), (reply, *began, *_keep(stage, plan, at), Close())


def on_response_trailers(stage: Recording, event: ResponseTrailers, plan: Snapshot, at: float) -> Step:
    return Done(), (Reply(Phase.RESPONSE_TRAILERS), *_keep(stage, plan, at), Close())


def on_metered_body(stage: Metering, event: ResponseBody, plan: Snapshot, at: float) -> Step:
    reply = Reply(Phase.RESPONSE_BODY)
    began = (*_first(stage, event.body, at), *_fed(stage.meter, event.body, plan, at))
    if not event.end_of_stream:
        return stage, (reply, *began)
    return Done(), (reply, *began, *_over(stage, plan, at), Close())


def on_metered_trailers(stage: Metering, event: ResponseTrailers, plan: Snapshot, at: float) -> Step:
    return Done(), (Reply(Phase.RESPONSE_TRAILERS), *_over(stage, plan, at), Close())


def _keep(stage: Recording, plan: Snapshot, at: float) -> tuple[Effect, ...]:
    """The one gate before the cache, for every form of answer."""
    decision, fill = stage.forwarded.decision, stage.fill
    ended = _over(stage, plan, at)
    verdict = may_store(fill.use, plan.cache.of(decision.cache_key), stage.recorder.finish())
    if isinstance(verdict, Refused):
        return (*ended, *_not_kept(fill, verdict.reason))
    identity, started = fill.use.identity, stage.forwarded.client.started
    # From when it was asked: what a mark of this moment covers must be gone when the mark is.
    expires_at = started + verdict.ttl
    if at >= expires_at:
        return (*ended, *_not_kept(fill, Uncached.EXPIRED))
    entry = Entry(
        id=identity.entry_id,
        partition=identity.partition,
        tenant=identity.tenant,
        text=identity.text,
        vector=fill.vector,
        completion=verdict.completion,
        model=decision.route.model,
        category=decision.cache_key,
        reasoning=bool(stage.forwarded.reasoning),
        created_at=started,
        expires_at=expires_at,
        exact_only=fill.exact_only,
    )
    kept = (*ended, *_into_cache(entry, plan))
    return kept if fill.verify is None else (*kept, Verify(fill.verify, verdict.completion))


def _into_cache(entry: Entry, plan: Snapshot) -> tuple[Effect, ...]:
    """An answer that is read first is nobody else's until then: not theirs either who wait for it."""
    if plan.screening.answers.enabled:
        return (ScreenAnswer(entry, plan.screening, plan.analysis_timeout),)
    return Land(Candidate(entry, 1.0)), Store(entry)


def _not_kept(fill: Fill, reason: Uncached) -> tuple[Effect, ...]:
    """Those who wait go on by themselves; a hit that was to be compared has nothing to be compared with."""
    return (Land(None), CacheSkipped(reason, storing=True), *_uncompared(fill))


def _uncompared(fill: Fill) -> tuple[Effect, ...]:
    if fill.verify is None:
        return ()
    entry = fill.verify.entry
    return (CacheVerified(Verified.UNDECIDED, entry.category, entry.id),)

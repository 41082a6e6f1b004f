"""The upstream's answer on its way to the client: never changed or held back, read if it may be stored."""

from router_extproc.base.completion import Unfoldable
from router_extproc.base.headers import HeaderEdits
from router_extproc.base.names import INTERNAL
from router_extproc.base.refusals import Uncached
from router_extproc.caching.entry import Entry
from router_extproc.caching.policy import may_record, media_type
from router_extproc.exchange.effects import (
    Answered,
    CacheSkipped,
    Close,
    Effect,
    Phase,
    Reply,
    Store,
    Watch,
)
from router_extproc.exchange.events import (
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.exchange.intake import Step
from router_extproc.exchange.judging import selection_headers
from router_extproc.exchange.recorder import Recorder
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import Done, Forwarded, Recording


def on_request_trailers(stage: Forwarded, event: RequestTrailers, plan: Snapshot, at: float) -> Step:
    return stage, (Reply(Phase.REQUEST_TRAILERS),)


def on_response_headers(stage: Forwarded, event: ResponseHeaders, plan: Snapshot, at: float) -> Step:
    """Tell the client what was chosen; watch the body only if it may fill the cache."""
    decision = stage.decision
    said = selection_headers(decision.route.model, decision.category, stage.reasoning)
    # What an upstream says under our names would be taken for ours.
    forged = tuple(name for name in INTERNAL if name not in dict(said))
    edits = HeaderEdits(set=said, remove=forged)
    answered = Answered(decision.route.model, _status(event), at - stage.started)
    if stage.fill is None:
        return Done(), (Reply(Phase.RESPONSE_HEADERS, edits), answered, Close())
    refused = Uncached.EMPTY if event.end_of_stream else may_record(event.headers)
    if refused is not None:
        skipped = CacheSkipped(refused, storing=True)
        return Done(), (Reply(Phase.RESPONSE_HEADERS, edits), answered, skipped, Close())
    recorder = Recorder(
        event_stream=media_type(event.headers) == "text/event-stream",
        max_bytes=plan.cache.max_answer_bytes,
    )
    reply = Reply(Phase.RESPONSE_HEADERS, edits, watch=Watch.STREAMED_RESPONSE)
    return Recording(decision, stage.reasoning, stage.fill, recorder), (reply, answered)


def _status(event: ResponseHeaders) -> int:
    status = event.headers.get(":status")
    return int(status) if status.isascii() and status.isdigit() else 0


def on_response_body(stage: Recording, event: ResponseBody, plan: Snapshot, at: float) -> Step:
    reply = Reply(Phase.RESPONSE_BODY)
    stage.recorder.feed(event.body)
    if not event.end_of_stream:
        return stage, (reply,)
    return Done(), (reply, *_keep(stage, plan, at), Close())


def on_response_trailers(stage: Recording, event: ResponseTrailers, plan: Snapshot, at: float) -> Step:
    return Done(), (Reply(Phase.RESPONSE_TRAILERS), *_keep(stage, plan, at), Close())


def _keep(stage: Recording, plan: Snapshot, at: float) -> tuple[Effect, ...]:
    """The one gate before the cache, for every form of answer."""
    folded = stage.recorder.finish()
    if isinstance(folded, Unfoldable):
        return (CacheSkipped(folded.reason, storing=True),)
    decision, fill = stage.decision, stage.fill
    entry = Entry(
        id=fill.identity.entry_id,
        partition=fill.identity.partition,
        text=fill.identity.text,
        vector=fill.vector,
        completion=folded,
        model=decision.route.model,
        category=decision.category,
        reasoning=bool(stage.reasoning),
        created_at=at,
        expires_at=at + plan.cache.ttl,
        partial=fill.partial,
    )
    return (Store(entry),)

"""What the guards make of a request: whether it goes on, and what its client is told if it does not.

One place for automatic and named models, with and without the cache. Knows scores and types, never the texts
or the values that were found. `docs/GUARDS.md` is the operator's side of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.digest import digest
from router_extproc.base.headers import Headers
from router_extproc.base.names import (
    VSR_JAILBREAK_BLOCKED,
    VSR_JAILBREAK_CONFIDENCE,
    VSR_JAILBREAK_TYPE,
    VSR_PII_TYPES,
    VSR_PII_VIOLATION,
    VSR_RESPONSE_PATH,
)
from router_extproc.base.paths import READS
from router_extproc.base.refusals import Bypass, Guarded, Rejection
from router_extproc.exchange.effects import Effect, ImmediateReply, Land, Rejected, RequestGuarded
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import Asked, Client
from router_extproc.llm.errors import error_body
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, Unsuitable
from router_extproc.routing.reasons import Dropped
from router_extproc.screening.policy import (
    GUARD,
    PII,
    Action,
    Beyond,
    GuardPolicy,
    OnError,
    PiiPolicy,
    ScreeningPolicy,
    is_attack,
)
from router_extproc.screening.reading import Screening

ATTACK_TYPE = "jailbreak"
"""The label of the reference's head that finds attacks; ours has one label too."""

FILTER = "security-filter"
"""The reference's name for who answers in a model's place."""

NOTHING = Screening()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """`notes` has what each guard that was asked said, up to the first that refuses; `refusal` is why, if one
    does. `flagged`: something was found, whatever followed from it, and nothing of it is for the cache."""

    notes: tuple[RequestGuarded, ...] = ()
    refusal: Rejection | None = None
    flagged: bool = False


def judge(
    policy: ScreeningPolicy, asked: Asked, decided: Decision | Unsuitable, analysis: Analysis | None
) -> Verdicts:
    """The attack first, then personal data. `decided` went by the same policy of personal data."""
    found = _found(analysis)
    notes: list[RequestGuarded] = []
    for guard, outcome in outcomes(policy, decided, analysis):
        notes.append(_note(guard, outcome, asked, decided, found))
        refusal = _refusal(guard, outcome)
        if refusal is not None:
            return Verdicts(tuple(notes), refusal, flagged=True)
    seen = policy.guard.enabled and _is_seen(policy.guard, decided.cache_key, found)
    return Verdicts(tuple(notes), flagged=seen or bool(decided.sensitive))


def outcomes(
    policy: ScreeningPolicy, decided: Decision | Unsuitable, analysis: Analysis | None
) -> Iterator[tuple[str, Guarded]]:
    """Each guard that is switched on, and what it does, in the order in which they judge. After one that
    refuses, nobody asks the others."""
    found, unread, key = _found(analysis), not_read(policy, analysis), decided.cache_key
    beyond = policy.beyond is Beyond.REFUSE and found.skipped > 0
    if policy.guard.enabled:
        outcome = _attack_outcome(policy.guard, key, found, failed=GUARD in unread)
        yield GUARD, _bounded(outcome, too_long=beyond and _refuses(policy.guard, key))
    if policy.pii.enabled:
        outcome = _personal_outcome(policy.pii, decided, failed=PII in unread)
        yield PII, _bounded(outcome, too_long=beyond and policy.pii.of(key).enabled)


def _found(analysis: Analysis | None) -> Screening:
    return NOTHING if analysis is None or analysis.screening is None else analysis.screening


def not_read(policy: ScreeningPolicy, analysis: Analysis | None) -> frozenset[str]:
    """The guards that should have looked at a request and did not, or not at all of it."""
    found = None if analysis is None else analysis.screening
    asked = {name for name, each in ((GUARD, policy.guard), (PII, policy.pii)) if each.enabled}
    if found is None:
        return frozenset(asked)
    silent = {GUARD} if found.attack is None else set()
    return frozenset(asked & (silent | set(found.failed)))


def refuse(
    asked: Asked, decided: Decision | Unsuitable, verdicts: Verdicts, plan: Snapshot, at: float
) -> tuple[Effect, ...]:
    """The answer in a model's place. Who waits for the same request goes on, to be judged by itself."""
    match verdicts.refusal:
        case Rejection.ATTACK:
            reply = _attack_reply(asked.client, verdicts.notes[-1].score or 0.0, plan, at)
        case Rejection.PERSONAL_DATA if isinstance(decided, Unsuitable):
            reply = _personal_reply(asked.client, decided, plan, at)
        case Rejection.UNREAD:
            reply = _unread_reply(plan.screening.max_tokens)
        case _:
            reply = unscreened()
    reason = verdicts.refusal or Rejection.UNSCREENED
    landed: tuple[Effect, ...] = () if asked.use is None else (Land(None),)
    return (reply, *landed, *verdicts.notes, Rejected(reason))


def unscreened() -> ImmediateReply:
    """A guard failed, and is to fail closed. It may have recovered when the client tries again."""
    message = "The request could not be checked by the guards that it must pass. Try again."
    body = error_body(message, type="server_error", code="guard_unavailable")
    return ImmediateReply(503, (("content-type", "application/json"),), body, Rejection.UNSCREENED.value)


def _unread_reply(most: int) -> ImmediateReply:
    message = f"A text of the request is too long for the guards, which read about {most} tokens. Shorten it."
    body = error_body(message, param="messages", code="text_too_long")
    return ImmediateReply(400, (("content-type", "application/json"),), body, Rejection.UNREAD.value)


def closed_to(policy: ScreeningPolicy, reason: Bypass, headers: Headers) -> Rejection | None:
    """Why a request to a guarded pool must not pass by unread, None where it may. What its client chose, such
    as compression or another path to the same models, must not be a way around the guards; where Envoy sends
    no body, `on_error` says."""
    guards = [each for each in (policy.guard, policy.pii) if each.enabled]
    if reason in (Bypass.ENCODED_BODY, Bypass.NOT_JSON, Bypass.UPGRADE) and guards:
        return Rejection.UNREADABLE
    if reason is Bypass.BODY_MODE and any(each.on_error is OnError.BLOCK for each in guards):
        return Rejection.UNSCREENED
    other = reason in (Bypass.OTHER_PATH, Bypass.OTHER_METHOD)
    if other and policy.refuses and not _may_pass(policy, headers):
        return Rejection.OTHER_PATH
    return None


def _may_pass(policy: ScreeningPolicy, headers: Headers) -> bool:
    """Envoy lets the same pass while the router is away (`envoyconf.away`)."""
    looks = headers.get(":method") in READS and "upgrade" not in headers
    return looks or headers.get(":path").partition("?")[0] in policy.unread_paths


def _bounded(outcome: Guarded, *, too_long: bool) -> Guarded:
    """What was found in the part that was read is a better reason than that there is more."""
    refused = outcome in (Guarded.BLOCKED, Guarded.ERROR_BLOCKED)
    return Guarded.TOO_LONG if too_long and not refused else outcome


def _refuses(policy: GuardPolicy, key: str) -> bool:
    """Whether attacks are refused here, and not only observed."""
    return policy.action is Action.BLOCK and policy.of(key).enabled


def _attack_outcome(policy: GuardPolicy, key: str, found: Screening, *, failed: bool) -> Guarded:
    if is_attack(policy, key, found):
        return Guarded.BLOCKED
    if failed:
        return _error_outcome(policy.on_error, asked=_refuses(policy, key))
    return Guarded.FLAGGED if _is_seen(policy, key, found) else Guarded.PASSED


def _is_seen(policy: GuardPolicy, key: str, found: Screening) -> bool:
    """Whether there is an attack by the threshold, also where the rule only observes, or a part is unread."""
    return found.attack is not None and found.attack >= policy.of(key).threshold


def _personal_outcome(policy: PiiPolicy, decided: Decision | Unsuitable, *, failed: bool) -> Guarded:
    if isinstance(decided, Unsuitable) and decided.denied:
        return Guarded.BLOCKED
    if failed:
        return _error_outcome(policy.on_error, asked=policy.of(decided.cache_key).enabled)
    if any(Dropped.PII in each.dropped for each in decided.trace.candidates):
        return Guarded.REROUTED
    return Guarded.FLAGGED if decided.sensitive else Guarded.PASSED


def _error_outcome(on_error: OnError, *, asked: bool) -> Guarded:
    return Guarded.ERROR_BLOCKED if asked and on_error is OnError.BLOCK else Guarded.ERROR_ALLOWED


def _refusal(guard: str, outcome: Guarded) -> Rejection | None:
    if outcome is Guarded.ERROR_BLOCKED:
        return Rejection.UNSCREENED
    if outcome is Guarded.TOO_LONG:
        return Rejection.UNREAD
    if outcome is not Guarded.BLOCKED:
        return None
    return Rejection.ATTACK if guard == GUARD else Rejection.PERSONAL_DATA


def _note(
    guard: str, outcome: Guarded, asked: Asked, decided: Decision | Unsuitable, found: Screening
) -> RequestGuarded:
    model = decided.route.model if isinstance(decided, Decision) else decided.denied_to
    of_guard = guard == GUARD
    return RequestGuarded(
        guard=guard,
        outcome=outcome,
        key=decided.cache_key,
        model=model,
        reference=_reference(asked.client),
        tenant=asked.tenant,
        score=found.attack if of_guard else None,
        types=frozenset() if of_guard else decided.sensitive,
        skipped=found.skipped,
        kept_from=() if of_guard else _kept_from(decided),
    )


def _kept_from(decided: Decision | Unsuitable) -> tuple[str, ...]:
    """Models that would have been asked, and must not see what the request holds."""
    barred = (each.model for each in decided.trace.candidates if Dropped.PII in each.dropped)
    return tuple(dict.fromkeys(barred))


def _reference(client: Client) -> str:
    """32 hex characters by which an answer and its audit record are found together."""
    return digest("request", (client.ident.encode(),))


def _attack_reply(client: Client, score: float, plan: Snapshot, at: float) -> ImmediateReply:
    said = (
        f"This request was stopped because it reads like an attempt to get around the assistant's rules "
        f"({ATTACK_TYPE}, {score:.3f}). Say in other words what you need."
    )
    headers = (
        (VSR_JAILBREAK_BLOCKED, "true"),
        (VSR_JAILBREAK_TYPE, ATTACK_TYPE),
        (VSR_JAILBREAK_CONFIDENCE, f"{score:.3f}"),
    )
    return _blocked(client, "jailbreak-blocked", _answer(FILTER, said), headers, plan, at)


def _personal_reply(client: Client, decided: Unsuitable, plan: Snapshot, at: float) -> ImmediateReply:
    headers = ((VSR_PII_VIOLATION, "true"), (VSR_PII_TYPES, ",".join(sorted(decided.denied))))
    return _blocked(client, "pii-violation", _answer(decided.denied_to, decided.message), headers, plan, at)


def _answer(model: str, said: str) -> Completion:
    return Completion(model, said, "content_filter", usage=Usage(0, 0))


def _blocked(
    client: Client,
    kind: str,
    answer: Completion,
    headers: tuple[tuple[str, str], ...],
    plan: Snapshot,
    at: float,
) -> ImmediateReply:
    """An answer in the form that the client asked for; with a status of an error, an error in OpenAI's form,
    which its clients raise whatever form they asked for."""
    ident = f"chatcmpl-{kind}-{_reference(client)}"
    status, form = plan.screening.status, "application/json"
    if status >= 400:
        body = error_body(answer.content, param="messages", code="content_filter")
    elif client.stream:
        form = "text/event-stream"
        body = render_sse(answer, ident, int(at), client.include_usage)
    else:
        body = render_json(answer, ident, int(at))
    said = (("content-type", form), (VSR_RESPONSE_PATH, "blocked"), *headers)
    return ImmediateReply(status, said, body, kind.replace("-", "_"))

"""From the first message to a well-formed question: what is ours, what passes, what is an error."""

from urllib.parse import unquote

from router_extproc.base.digest import digest
from router_extproc.base.headers import HeaderEdits, Headers
from router_extproc.base.names import AUTO, FOR_ROUTER, INTERNAL, VSR_CACHE_CONTROL
from router_extproc.base.paths import CHAT_PATH
from router_extproc.base.refusals import Bypass, Rejection, Uncached
from router_extproc.base.trace import TRACESTATE
from router_extproc.caching.control import parse_cache_control
from router_extproc.caching.identity import identify
from router_extproc.caching.policy import CacheUse, Mode, exact_only, may_use, media_type
from router_extproc.exchange.effects import (
    Analyse,
    Bypassed,
    CacheSkipped,
    Close,
    Effect,
    ImmediateReply,
    LookupExact,
    Phase,
    Rejected,
    Reply,
    Watch,
)
from router_extproc.exchange.events import RequestBody, RequestHeaders, RequestTrailers, ResponseHeaders
from router_extproc.exchange.facts import others_of, question_of
from router_extproc.exchange.guarding import closed_to, unscreened
from router_extproc.exchange.notes import AnsweredBefore, Understood
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import (
    Asked,
    AwaitAnalysis,
    AwaitBody,
    AwaitExact,
    Client,
    Done,
    Stage,
    Start,
)
from router_extproc.exchange.tracing import Traced, opened, traced
from router_extproc.llm.chat import ChatError, ChatRequest, is_ambiguous, parse_chat
from router_extproc.llm.errors import error_body
from router_extproc.llm.models import render_model, render_models
from router_extproc.routing.compiled import Needs
from router_extproc.routing.policy import DECISION_KEY

MODELS_PATH = "/v1/models"

OWNER = "router-extproc"
"""`owned_by` in the list of models."""

Step = tuple[Stage, tuple[Effect, ...]]

_STATUS = {
    Rejection.INVALID_JSON: 400,
    Rejection.INVALID_REQUEST: 400,
    Rejection.BODY_TOO_LARGE: 413,
    Rejection.UNKNOWN_MODEL: 404,
    Rejection.UNSUITABLE: 400,
    Rejection.UNREADABLE: 415,
    Rejection.OTHER_PATH: 403,
}

_AMBIGUOUS = (
    "The request body can be read in two ways: a name stands twice in an object, or differs from 'model' or "
    "'messages' by its capitals only."
)

_CODE = {Rejection.UNKNOWN_MODEL: "model_not_found", Rejection.OTHER_PATH: "path_not_guarded"}


def on_request_headers(stage: Start, event: RequestHeaders, plan: Snapshot, at: float) -> Step:
    named = model_asked_for(event.headers)
    if named is not None:
        return list_models(named, plan, at)
    headers, reason = event.headers, not_ours(event)
    refused = None if reason is None else closed_to(plan.screening, reason, headers)
    if reason is not None and refused is None:
        return _pass_by(headers, reason)
    trace = traced(stage.ident, headers, plan.tracing)
    note = opened(stage.ident, trace, plan.generation, at)
    if refused is not None:
        done, effects = _unread(refused)
        return done, (note, *effects)
    if event.end_of_stream:
        done, effects = reject(Rejection.INVALID_JSON, "The request has no body; send a JSON object.", None)
        return done, (note, *effects)
    asking = AwaitBody(
        ident=stage.ident,
        tenant=plan.cache.tenancy.of(headers),
        control=parse_cache_control(headers.all(VSR_CACHE_CONTROL)),
        query=headers.get(":path").partition("?")[2],
        session=headers.get(plan.session_header) or None,
        started=at,
        trace=trace.upstream if plan.tracing.sends else None,
    )
    return asking, (Reply(Phase.REQUEST_HEADERS, _without_state(headers, trace, plan)), note)


def _without_state(headers: Headers, trace: Traced, plan: Snapshot) -> HeaderEdits:
    """`tracestate` belongs to the trace that `traceparent` names: where that began here, to none (W3C Trace
    Context, 3.3)."""
    stale = plan.tracing.sends and not trace.parent and TRACESTATE in headers
    return HeaderEdits(remove=(TRACESTATE,) if stale else ())


def model_asked_for(headers: Headers) -> str | None:
    """For `GET /v1/models/NAME` the name, for the whole list "", for any other request None."""
    path = headers.get(":path").partition("?")[0]
    if headers.get(":method") != "GET" or not (path == MODELS_PATH or path.startswith(MODELS_PATH + "/")):
        return None
    return unquote(path[len(MODELS_PATH) + 1 :])


def list_models(name: str, plan: Snapshot, at: float) -> Step:
    """The names a client may send as `model`: the pool is nobody's but the router's to tell."""
    if name and name not in plan.listed:
        return reject(Rejection.UNKNOWN_MODEL, "The model does not exist in this pool.", "model")
    body = render_model(name, OWNER, int(at)) if name else render_models(plan.listed, OWNER, int(at))
    reply = ImmediateReply(200, (("content-type", "application/json"),), body, "models")
    return Done(), (reply,)


def not_ours(event: RequestHeaders) -> Bypass | None:
    """Why an exchange is none of the router's business, or None for a chat completion it can read."""
    headers = event.headers
    if not is_chat(headers.get(":path")):
        return Bypass.OTHER_PATH
    if headers.get(":method") != "POST":
        return Bypass.OTHER_METHOD
    if "upgrade" in headers:
        return Bypass.UPGRADE
    if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        return Bypass.ENCODED_BODY
    # A missing content type is read as JSON, as OpenAI's servers do.
    if media_type(headers) not in ("application/json", ""):
        return Bypass.NOT_JSON
    return None if event.buffered else Bypass.BODY_MODE


def is_chat(path: str) -> bool:
    """Whether some server takes `path` for that of chat completions: many make no difference between upper
    and lower case, or of a slash or a parameter (`;a=b`) at the end, and none of these is a way around the
    router."""
    return path.partition("?")[0].partition(";")[0].rstrip("/").lower() == CHAT_PATH


def _unread(refused: Rejection) -> Step:
    """What would get around the guards."""
    if refused is Rejection.UNSCREENED:
        return Done(), (unscreened(), Rejected(refused))
    message = "Requests to this address are read by guards: send plain, uncompressed JSON."
    if refused is Rejection.OTHER_PATH:
        message = f"The guards of this pool read {CHAT_PATH} only, so this address is closed: ask there."
    return reject(refused, message, None)


def on_response_first(stage: Start | AwaitBody, event: ResponseHeaders, plan: Snapshot, at: float) -> Step:
    """Envoy or a filter before us answered, before the request or its body got here: a body that is too
    large or too slow, for example."""
    notes = (AnsweredBefore(event.status),) if isinstance(stage, AwaitBody) else ()
    return Done(), (Reply(Phase.RESPONSE_HEADERS), *notes, Bypassed(Bypass.RESPONSE_ONLY), Close())


def on_request_body(stage: AwaitBody, event: RequestBody, plan: Snapshot, at: float) -> Step:
    if len(event.body) > plan.max_body_bytes:
        message = f"The request body has {len(event.body)} bytes; at most {plan.max_body_bytes} are allowed."
        return reject(Rejection.BODY_TOO_LARGE, message, None)
    try:
        chat = parse_chat(event.body, plan.max_body_values)
    except ChatError as error:
        return reject(error.reason, str(error), error.param)
    if plan.screening.guarded and is_ambiguous(chat):
        # What the guards judge must be what the model reads, whichever of the two its server takes.
        return reject(Rejection.INVALID_REQUEST, _AMBIGUOUS, None)
    automatic = chat.model in plan.aliases
    if not automatic and not plan.is_model(chat.model):
        return reject(Rejection.UNKNOWN_MODEL, "The model does not exist in this pool.", "model")
    return _ask(stage, chat, None if automatic else chat.model, plan, at)


def on_no_body(stage: AwaitBody, event: RequestTrailers, plan: Snapshot, at: float) -> Step:
    """Trailers right after the headers: a request with an empty body."""
    return reject(Rejection.INVALID_JSON, "The request has no body; send a JSON object.", None)


def _ask(stage: AwaitBody, chat: ChatRequest, model: str | None, plan: Snapshot, at: float) -> Step:
    """The exact tier first: it costs no model. Without a place in the cache, straight to the encoder."""
    client = Client(stage.ident, chat.stream, chat.include_usage, stage.started, stage.trace)
    use, session = _use(stage, chat, model, plan), _session(stage, chat, plan)
    tenant = None if isinstance(stage.tenant, Uncached) else stage.tenant
    note = Understood(model or AUTO, tenant)
    if isinstance(use, Uncached):
        asked = Asked(client, chat, model, None, session, tenant)
        return analyse(asked, plan, 0.0, (note, CacheSkipped(use, storing=False)))
    asked = Asked(client, chat, model, use, session, tenant)
    if not use.control.asks:
        return analyse(asked, plan, 0.0, (note, CacheSkipped(Uncached.CACHE_CONTROL, storing=False)))
    identity = use.identity
    lookup = LookupExact(identity.partition, identity.entry_id, plan.cache.lookup_timeout)
    return AwaitExact(asked, use, at), (note, lookup)


def _use(stage: AwaitBody, chat: ChatRequest, model: str | None, plan: Snapshot) -> CacheUse | Uncached:
    last, tenant, control = chat.turns[-1], stage.tenant, stage.control
    text = last.text if last.role == "user" else None
    refused = may_use(plan.cache, tenant, text, chat.params)
    if refused is not None or isinstance(tenant, Uncached) or text is None:
        return refused or Uncached.NO_IDENTITY
    if not control.asks and not control.keeps:
        return Uncached.CACHE_CONTROL
    identity = identify(
        tenant=tenant,
        model=model or AUTO,
        query=stage.query,
        context=[turn.canonical for turn in chat.turns[:-1]],
        frame=chat.frame,
        params=chat.params,
        text=text,
        encoder=plan.encoder,
        generation=plan.generation,
    )
    later = any(turn.role not in ("system", "developer") for turn in chat.turns[:-1])
    return CacheUse(identity, control, exact_only(text, chat.params, later=later))


def analyse(asked: Asked, plan: Snapshot, budget: float, notes: tuple[Effect, ...] = ()) -> Step:
    """Judge what the user asks. `budget`: seconds left for lookups afterwards."""
    text = question_of(asked.chat) or " "
    needs = _needs(asked, plan)
    others = others_of(asked.chat) if needs.guard or needs.pii else ()
    question = Analyse(text, plan.analysis_timeout, asked.session, needs, others)
    return AwaitAnalysis(asked, budget), (*notes, question)


def _needs(asked: Asked, plan: Snapshot) -> Needs:
    """What will be read of the analysis: what the rules ask for, unless the client has chosen; the vector,
    where anything may be found by meaning; what the guards find, whoever chose; the domain, where the cache's
    policy or a guard's depends on it."""
    needs = plan.routing.needs if asked.model is None else Needs()
    guard, pii = plan.screening.guard, plan.screening.pii
    keys = [*(guard.overrides if guard.enabled else ()), *(pii.overrides if pii.enabled else ())]
    by_meaning = False
    if asked.use is not None:
        by_meaning = any(each.mode is Mode.SEMANTIC for each in plan.cache.all)
        keys += plan.cache.categories
    by_category = any(not key.startswith(DECISION_KEY) for key in keys)
    heads = needs.heads | {plan.routing.domain} if by_category else needs.heads
    return Needs(needs.vector or by_meaning, heads, guard.enabled, pii.enabled)


def _session(stage: AwaitBody, chat: ChatRequest, plan: Snapshot) -> str | None:
    """The conversation's key, TENANT/CONVERSATION as digests: what its client calls it, else how it began, up
    to the first thing a user said. Each tenant has its own, so nobody steers another's; who cannot be told
    apart has none."""
    tenant = stage.tenant
    if not plan.routing.session.remembers or isinstance(tenant, Uncached):
        return None
    owner = digest("session-tenant", (tenant.encode(),))
    if stage.session is not None:
        return f"{owner}/{digest('session', (tenant.encode(), b'named', stage.session.encode()))}"
    roles = [turn.role for turn in chat.turns]
    first = roles.index("user") + 1 if "user" in roles else len(roles)
    begun = (turn.canonical for turn in chat.turns[:first])
    return f"{owner}/{digest('session', (tenant.encode(), b'', *begun))}"


def _pass_by(headers: Headers, reason: Bypass) -> Step:
    """Let everything through. What a client told the router, or sent under its names, is removed all the
    same, and the route, which may have been chosen by it, is chosen again."""
    forged = tuple(name for name in (*INTERNAL, *FOR_ROUTER) if name in headers)
    reply = Reply(
        Phase.REQUEST_HEADERS,
        HeaderEdits(remove=forged),
        clear_route_cache=bool(forged),
        watch=Watch.NOTHING,
    )
    return Done(), (reply, Bypassed(reason), Close())


def reject(reason: Rejection, message: str, param: str | None, code: str | None = None) -> Step:
    """An error in OpenAI's form; nothing goes upstream. `code` is OpenAI's word for what clients may want to
    tell apart, by default what goes with `reason`, if anything does."""
    body = error_body(message, param=param, code=code or _CODE.get(reason))
    reply = ImmediateReply(_STATUS[reason], (("content-type", "application/json"),), body, reason.value)
    return Done(), (reply, Rejected(reason))

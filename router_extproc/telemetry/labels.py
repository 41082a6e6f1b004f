"""The labels of all metrics, and the words that are only theirs."""

from enum import StrEnum

from router_extproc.base.refusals import (
    Bypass,
    Failure,
    Guarded,
    Missed,
    Rejection,
    Uncached,
    Verified,
    Waited,
)
from router_extproc.caching.guard import Difference
from router_extproc.caching.marks import Kind as MarkKind
from router_extproc.exchange.effects import HitKind
from router_extproc.exchange.exchange import LEGAL
from router_extproc.routing.performance import AdjustmentKind
from router_extproc.routing.reasons import Rule
from router_extproc.routing.uncertainty import NO_DATA, NOT_IN_MAP, Level
from router_extproc.screening.policy import GUARD, PII
from router_extproc.screening.spans import PII_TYPES
from router_extproc.telemetry.table import Configured, Label

UNKNOWN = "unknown"
"""The peer's word where no model can be named."""

NO_CATEGORY = "none"


class RequestError(StrEnum):
    """Why a request failed or was refused: the peer's words, and one of ours, the last."""

    PARSE = "parse_error"
    CLASSIFICATION = "classification_failed"
    ATTACK = "jailbreak_block"
    PERSONAL_DATA = "pii_policy_denied"
    CLIENT_ERROR = "upstream_4xx"
    SERVER_ERROR = "upstream_5xx"
    TIMEOUT = "timeout"
    CANCELLED = "cancellation"
    INCOMPLETE = "incomplete"


class Step(StrEnum):
    """What the router spends time on before a request goes upstream, or is answered."""

    EXACT = "exact_lookup"
    QUEUE = "queue"
    TOKENISE = "tokenise"
    ENCODE = "encode"
    GUARDS = "guards"
    SEMANTIC = "semantic_lookup"
    VERIFIER = "verifier"


class Part(StrEnum):
    """Of what a model is paid for."""

    PROMPT = "prompt"
    COMPLETION = "completion"


class Classifier(StrEnum):
    """`category` is the pass of the encoder with all heads on it; the peer has `pii` and `jailbreak` for what
    `guards` does in one."""

    CATEGORY = "category"
    GUARDS = "guards"
    VERIFIER = "verifier"


BATCH_SIZES = ((1, "1"), (5, "2-5"), (10, "6-10"), (20, "11-20"), (50, "21-50"))
"""The peer's ranges, by their last size."""
BEYOND = "50+"


class Listening(StrEnum):
    """What of the router may have certificates, by its name under `listeners`."""

    EXT_PROC = "ext_proc"
    API = "api"
    METRICS = "metrics"


class Renewal(StrEnum):
    """What became of changed certificate files."""

    TAKEN = "taken"
    REFUSED = "refused"


class Sending(StrEnum):
    """What became of a trace for the collector."""

    SENT = "sent"
    QUEUE_FULL = "queue_full"
    """Dropped for later ones."""
    NOT_TAKEN = "not_taken"
    """By the collector: away, too slow, or it refused."""
    CLOSING = "closing"
    """Still waiting when the router stopped."""


class BatchProblem(StrEnum):
    """Why a batch was not classified."""

    CLASSIFICATION = "classification_failed"


_HOW = (
    "trust_classification",
    "top_category_above_threshold",
    "conservative_default",
    "weighted_decision",
    "weighted",
)
_REASONS = (*(f"{level}_uncertainty_{how}" for level in Level for how in _HOW), NO_DATA, NOT_IN_MAP)
_STAGES = tuple(stage.__name__ for stage in LEGAL)
_EVENTS = tuple(sorted({event.__name__ for events in LEGAL.values() for event in events}))
_YES_NO = ("true", "false")
_BACKEND = ("memory", "milvus", "hybrid")
_OPERATIONS = ("get_by_id", "find_similar")

MODEL = Label("model", Configured.MODELS, (UNKNOWN,))
SOURCE_MODEL = Label("source_model", ("auto",))
TARGET_MODEL = Label("target_model", Configured.MODELS)
REASON_CODE = Label("reason_code", Rule)
ERROR = Label("reason", RequestError)
CURRENCY = Label("currency", Configured.CURRENCIES)
CATEGORY = Label("category", Configured.CATEGORIES)
CATEGORY_OR_NONE = Label("category", Configured.CATEGORIES, (NO_CATEGORY,))
TOP_CATEGORY = Label("top_category", Configured.CATEGORIES, (NO_CATEGORY,))
DECISION = Label("decision", Configured.DECISIONS)
DECISION_NAME = Label("decision_name", Configured.DECISIONS)
CLASSIFIER = Label("classifier", Classifier)
BACKEND = Label("backend", _BACKEND)
OPERATION = Label("operation", _OPERATIONS)
STATUS = Label("status", ("hit", "miss", "error"))
PII_TYPE = Label("pii_type", tuple(sorted(PII_TYPES)))
OUR_PII_TYPE = Label("type", tuple(sorted(PII_TYPES)))
ENABLED = Label("enabled", _YES_NO)
EFFORT = Label("effort", ("low", "medium", "high", "none"))
FAMILY = Label("family", Configured.FAMILIES)
PARAMETER = Label("param", Configured.PARAMETERS)
LEVEL = Label("uncertainty_level", Level)
REASONING_ENABLED = Label("reasoning_enabled", _YES_NO)
DECISION_REASON = Label("decision_reason", _REASONS)
CLASSIFICATION_TYPE = Label("classification_type", ("entropy_based",))
CLASSIFICATION_METHOD = Label("classification_method", ("entropy_based",))
FALLBACK_REASON = Label("fallback_reason", (NO_DATA,))
FALLBACK_STRATEGY = Label("fallback_strategy", ("configuration",))
PROCESSING = Label("processing_type", ("sequential",))
BATCH_SIZE = Label("batch_size_range", (*(name for _, name in BATCH_SIZES), BEYOND))
BATCH_ERROR = Label("error_type", BatchProblem)
UNCACHED = Label("reason", Uncached)
WAITED = Label("outcome", Waited)
HIT_KIND = Label("hit_kind", HitKind)
SOURCE = Label("source", ("cache",))
MARK = Label("operation", MarkKind)
DRY_RUN = Label("dry_run", _YES_NO)
STEP = Label("stage", Step)
KIND = Label("kind", HitKind)
MISSED = Label("reason", Missed)
DIFFERENCE = Label("difference", Difference)
VERIFIED = Label("outcome", Verified)
PHASE = Label("phase", ("lookup", "store"))
SCREENED = Label("outcome", Uncached, ("kept",))
PART = Label("kind", Part)
BYPASS = Label("reason", Bypass)
REJECTION = Label("reason", Rejection)
GUARD_NAME = Label("guard", (GUARD, PII))
GUARDED = Label("outcome", Guarded)
PORT = Label("port", ("analyst", "verifier", "store", "writer", "streams"))
FAILURE = Label("reason", Failure)
HEAD = Label("head", Configured.HEADS)
STAGE = Label("stage", _STAGES)
EVENT = Label("event", _EVENTS)
ADJUSTMENT = Label("kind", AdjustmentKind)
SENDING = Label("outcome", Sending)
RELOAD = Label("outcome", ("taken", "unchanged", "refused"))
LISTENER = Label("listener", Listening)
RENEWAL = Label("outcome", Renewal)
WORKER = Label("worker", Configured.WORKER)
GENERATION = Label("generation", Configured.GENERATION)

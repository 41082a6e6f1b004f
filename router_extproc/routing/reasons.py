"""Why a model was chosen, dropped or kept: words for metrics, traces and error messages.

`docs/ROUTING.md` has a line for each of `Dropped` and `Adjusted`, `docs/REASONS.md` one for each `Rule`
(tests compare).
"""

from enum import StrEnum


class Rule(StrEnum):
    """What decided; the `reason_code` of VSR's metrics where it has one for the same thing."""

    DECISION = "decision"
    CATEGORY = "auto_routing"
    BELOW_THRESHOLD = "below_threshold"
    NO_ROUTE = "no_route"
    NO_ANALYSIS = "no_analysis"
    UNSUITABLE = "unsuitable"
    REQUESTED = "model_specified"


class Dropped(StrEnum):
    """Why a candidate cannot answer, or is left aside."""

    CONTEXT_WINDOW = "context_window"
    VISION = "vision"
    TOOLS = "tools"
    PII = "pii"
    UNAVAILABLE = "unavailable"
    SESSION = "session"
    QUALITY = "quality"


class Adjusted(StrEnum):
    """What changed the order in which candidates would have been asked."""

    DEFAULT_STANDS_IN = "default_stands_in"
    NONE_AVAILABLE = "none_available"
    SESSION_KEPT = "session_kept"
    SESSION_NOT_LISTED = "session_not_listed"
    SESSION_UNSUITABLE = "session_unsuitable"
    SESSION_UNAVAILABLE = "session_unavailable"
    SESSION_RAISED = "session_raised"
    SESSION_LOWERED = "session_lowered"
    REQUESTED_LACKS = "requested_lacks"
    REQUESTED_UNAVAILABLE = "requested_unavailable"

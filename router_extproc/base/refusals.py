"""Every reason for which the router declines to do something.

The value of each member is its metric label; `docs/REASONS.md` has a line for each (a test compares).
"""

from enum import StrEnum


class Bypass(StrEnum):
    """Why an HTTP exchange passes through untouched."""

    OTHER_PATH = "other_path"
    OTHER_METHOD = "other_method"
    UPGRADE = "upgrade"
    ENCODED_BODY = "encoded_body"
    NOT_JSON = "not_json"
    RESPONSE_ONLY = "response_only"
    BODY_MODE = "body_mode"


class Rejection(StrEnum):
    """Why the client gets an error from the router instead of an upstream's answer."""

    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    BODY_TOO_LARGE = "body_too_large"
    UNKNOWN_MODEL = "unknown_model"
    UNSUITABLE = "unsuitable"
    ATTACK = "attack"
    PERSONAL_DATA = "personal_data"
    UNSCREENED = "unscreened"
    UNREADABLE = "unreadable"
    UNREAD = "unread"
    OTHER_PATH = "other_path"


class Uncached(StrEnum):
    """Why an exchange does not use the cache, or why an answer is not stored in it."""

    DISABLED = "disabled"
    NO_IDENTITY = "no_identity"
    AMBIGUOUS_IDENTITY = "ambiguous_identity"
    CACHE_CONTROL = "cache_control"
    TEMPERATURE = "temperature"
    CATEGORY_OFF = "category_off"
    CATEGORY_EXACT = "category_exact"
    SHORT_TURN = "short_turn"
    ANAPHORA = "anaphora"
    TOOLS = "tools"
    LAST_TURN_NOT_TEXT = "last_turn_not_text"
    MULTIPLE_CHOICES = "multiple_choices"
    LOGPROBS = "logprobs"
    NO_ANALYSIS = "no_analysis"
    FLAGGED = "flagged"
    TRUNCATED = "truncated"
    STATUS = "status"
    CONTENT_TYPE = "content_type"
    CONTENT_ENCODING = "content_encoding"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNKNOWN_FIELD = "unknown_field"
    INCOMPLETE = "incomplete"
    FINISH_REASON = "finish_reason"
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"
    EMPTY = "empty"
    PERSONAL_DATA = "personal_data"
    ATTACK = "attack"
    UNSCREENED = "unscreened"
    UNREAD = "unread"
    EXPIRED = "expired"
    QUEUE_FULL = "queue_full"


class Missed(StrEnum):
    """Why a lookup in the cache brought no answer."""

    NOTHING_SIMILAR = "nothing_similar"
    HELD_BACK = "held_back"
    WORD_FOR_WORD = "word_for_word"
    STORE_FAILED = "store_failed"
    NO_TIME = "no_time"


class Waited(StrEnum):
    """How a request that waited for an identical one under way went on."""

    ANSWERED = "answered"
    NOT_ADMITTED = "not_admitted"
    LEADER_GAVE_UP = "leader_gave_up"
    TIMEOUT = "timeout"


class Verified(StrEnum):
    """What the comparison of a cached answer with a fresh one said."""

    SAME = "same"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


class Guarded(StrEnum):
    """What a guard did about a request."""

    PASSED = "passed"
    FLAGGED = "flagged"
    REROUTED = "rerouted"
    BLOCKED = "blocked"
    ERROR_ALLOWED = "error_allowed"
    ERROR_BLOCKED = "error_blocked"
    TOO_LONG = "too_long"


class Failure(StrEnum):
    """How a port failed. The exchange goes on without what the port would have brought."""

    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    INVALID = "invalid"

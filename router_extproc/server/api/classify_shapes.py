"""The bodies of `/api/v1/classify/*`. Names are vLLM Semantic Router's; what is ours beside them says so."""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from router_extproc.server.api.route import Shape

MAX_TEXT: Final = 16_384
MAX_TEXTS: Final = 100

Text = Annotated[
    str, Meta(min_length=1, max_length=MAX_TEXT, description="Characters count as Unicode code points.")
]
Share = Annotated[float, Meta(ge=0, le=1)]
Millis = Annotated[
    float, Meta(ge=0, description="Milliseconds from the call to the answer, queueing included.")
]
Count = Annotated[int, Meta(ge=0)]

PiiType = Literal[
    "AGE", "CREDIT_CARD", "DATE_TIME", "DOMAIN_NAME", "EMAIL_ADDRESS", "GPE", "IBAN_CODE", "IP_ADDRESS",
    "NRP", "ORGANIZATION", "PERSON", "PHONE_NUMBER", "STREET_ADDRESS", "TITLE", "US_DRIVER_LICENSE", "US_SSN",
    "ZIP_CODE",
]  # fmt: skip
"""`screening.spans.PII_TYPES`."""

AttackType = Literal["jailbreak", "prompt_injection"]
"""One head looks for both: attempts to make the assistant leave its instructions."""

Sensitivity = Literal["low", "medium", "high"]
Advice = Literal["block", "allow"]


class IntentOptions(Shape, frozen=True):
    """`confidence_threshold` stands in for the configuration's threshold of the domain."""

    return_probabilities: bool = False
    confidence_threshold: Share | None = None
    include_explanation: bool = False


class IntentRequest(Shape, frozen=True):
    text: Text
    options: IntentOptions = IntentOptions()


class Classification(Shape, frozen=True):
    category: Annotated[str, Meta(description="The likeliest domain.")]
    confidence: Share
    processing_time_ms: Millis


class Explanation(Shape, frozen=True):
    """Ours. Why the recommended model: the rule that led to it, and the decision or category it names."""

    rule: str
    decision: str
    category: Annotated[str, Meta(description="Empty where no domain reaches the threshold.")]
    threshold: Share
    reasoning: bool
    alternatives: list[str]


class IntentReply(Shape, frozen=True):
    """`recommended_model` is whom the router would ask in a new conversation, null where nobody suits."""

    classification: Classification
    recommended_model: str | None
    routing_decision: Annotated[
        Literal["high_confidence_specialized", "low_confidence_general"],
        Meta(description="Whether a decision or a category chose the model, or the default model answers."),
    ]
    probabilities: Annotated[
        dict[str, Share] | UnsetType, Meta(description="Of all domains; with return_probabilities.")
    ] = UNSET
    explanation: Explanation | UnsetType = UNSET


class PiiOptions(Shape, frozen=True):
    """`entity_types`: only these, null for all. `confidence_threshold` stands in for the configuration's."""

    entity_types: list[PiiType] | None = None
    confidence_threshold: Share | None = None
    return_positions: bool = False
    mask_entities: bool = False


class PiiRequest(Shape, frozen=True):
    text: Text
    options: PiiOptions = PiiOptions()


class Entity(Shape, frozen=True):
    """Positions count characters (Unicode code points) of the text, the end excluded."""

    type: PiiType
    value: str
    confidence: Share
    start_position: Count | UnsetType = UNSET
    end_position: Count | UnsetType = UNSET
    masked_value: str | UnsetType = UNSET


class PiiReply(Shape, frozen=True):
    has_pii: bool
    entities: Annotated[list[Entity], Meta(description="In the order of the text, disjoint.")]
    security_recommendation: Annotated[Advice, Meta(description="`block` where there is personal data.")]
    processing_time_ms: Millis
    unread_characters: Annotated[
        Count, Meta(description="Ours: of a text longer than screening.max_tokens, what nobody looked at.")
    ]
    masked_text: str | UnsetType = UNSET


class SecurityOptions(Shape, frozen=True):
    """`sensitivity`: `medium` is the configuration's threshold, `high` half of it, `low` half-way from it to
    1. `detection_types` may name both; one head looks for them together."""

    detection_types: list[AttackType] | None = None
    sensitivity: Sensitivity = "medium"
    include_reasoning: bool = False


class SecurityRequest(Shape, frozen=True):
    text: Text
    options: SecurityOptions = SecurityOptions()


class SecurityReply(Shape, frozen=True):
    is_jailbreak: bool
    risk_score: Annotated[Share, Meta(description="The probability of an attack.")]
    detection_types: list[AttackType]
    confidence: Annotated[Share, Meta(description="The probability of what `is_jailbreak` says.")]
    recommendation: Advice
    patterns_detected: Annotated[
        list[Literal["disguised_text"]],
        Meta(description="`disguised_text`: an attack in a text that also reads as another, such as base64."),
    ]
    processing_time_ms: Millis
    unread_characters: Annotated[
        Count, Meta(description="Ours: of a text longer than screening.max_tokens, what nobody looked at.")
    ]
    reasoning: str | UnsetType = UNSET


class CombinedOptions(Shape, frozen=True):
    intent: IntentOptions = IntentOptions()
    pii: PiiOptions = PiiOptions()
    security: SecurityOptions = SecurityOptions()


class CombinedRequest(Shape, frozen=True):
    text: Text
    options: CombinedOptions = CombinedOptions()


class CombinedReply(Shape, frozen=True):
    """Of one analysis: the encoder reads the text once for all three."""

    intent: IntentReply
    pii: PiiReply
    security: SecurityReply
    processing_time_ms: Millis


TaskType = Literal["intent", "pii", "security", "all"]


class BatchOptions(Shape, frozen=True):
    """Those of the single calls. `confidence_threshold` is that of personal data for the task `pii`, else
    that of the domain."""

    return_probabilities: bool = False
    confidence_threshold: Share | None = None
    include_explanation: bool = False
    entity_types: list[PiiType] | None = None
    return_positions: bool = False
    mask_entities: bool = False
    detection_types: list[AttackType] | None = None
    sensitivity: Sensitivity = "medium"
    include_reasoning: bool = False


class BatchRequest(Shape, frozen=True):
    texts: Annotated[list[Text], Meta(min_length=1, max_length=MAX_TEXTS)]
    task_type: TaskType = "intent"
    options: BatchOptions = BatchOptions()


class BatchResult(Shape, frozen=True):
    """`category`: the domain; for `pii` the surest entity's type or NO_PII, for `security` jailbreak or
    benign. The whole answers of the single calls stand beside it, where the task has them."""

    category: str
    confidence: Annotated[Share | None, Meta(description="Null for NO_PII, of which nobody gives one.")]
    processing_time_ms: Millis
    probabilities: dict[str, Share] | UnsetType = UNSET
    intent: IntentReply | UnsetType = UNSET
    pii: PiiReply | UnsetType = UNSET
    security: SecurityReply | UnsetType = UNSET


class BatchStatistics(Shape, frozen=True):
    """`low_confidence_count`: confidences below 0.7, or below the confidence_threshold of the options."""

    category_distribution: dict[str, Count]
    avg_confidence: Share | None
    low_confidence_count: Count


class BatchReply(Shape, frozen=True):
    """In the order of the texts."""

    results: list[BatchResult]
    total_count: Count
    processing_time_ms: Millis
    statistics: BatchStatistics

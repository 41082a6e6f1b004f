"""What the guards look for and what may pass: `prompt_guard`, `classifier.pii_model`, `screening`, and the
`pii_policy` of a model."""

from typing import Annotated, Final, Literal

from pydantic import Field

from router_extproc.settings.strict import Strict

Threshold = Annotated[float, Field(gt=0.0, le=1.0)]
"""The least probability that counts; at 0 everything would."""

OnError = Literal["allow", "block"]

GUARD_THRESHOLD: Final = 0.7
PII_THRESHOLD: Final = 0.5


Window = Annotated[int, Field(ge=16, le=8192)]
"""Tokens that a model of the user's own reads at a time, special ones included."""


class PromptGuard(Strict):
    """Attacks on the assistant's instructions. `observe` tells of an attack and lets it pass. `on_error`:
    what becomes of a request that could not be looked at. A category or decision may have its own
    `jailbreak_enabled` and `jailbreak_threshold`. `path` is a folder, relative to the configuration, with a
    sequence classification model in ONNX that stands in for the router's own head; `labels` says which of
    its labels are attacks."""

    enabled: bool = False
    threshold: Threshold = GUARD_THRESHOLD
    action: Literal["block", "observe"] = "block"
    on_error: OnError = "allow"
    path: str | None = None
    max_tokens: Window = 256
    labels: dict[str, Literal["jailbreak", "benign"]] = {}


class PiiModel(Strict):
    """Personal data. `enabled` is by default whether the `pii_policy` of any model denies something. A
    category or decision may have its own `pii_enabled` and `pii_threshold`. `on_error`: what becomes of a
    request that could not be looked at; policies fail closed by default. `path` is a folder, relative to the
    configuration, with a token classification model in ONNX that stands in for the router's own tags;
    `labels` maps its labels to types of personal data, or to `O` for none."""

    enabled: bool | None = None
    threshold: Threshold = PII_THRESHOLD
    on_error: OnError = "block"
    path: str | None = None
    max_tokens: Window = 256
    labels: dict[str, str] = {}


class ModelPolicy(Strict):
    """What personal data a model may see: all of it, or only `pii_types_allowed`, types and groups of types.
    A model without a policy may see everything."""

    allow_by_default: bool = False
    pii_types_allowed: list[str] = []


class ScreeningLimits(Strict):
    """Of both guards. Of each text of a request about `max_tokens` are read; from a longer one they are a
    sample, or the request is refused. `status` is the HTTP status of a refusal. `unread_paths` are the paths
    beside chat completions that requests may be sent to although no guard reads them."""

    max_tokens: Annotated[int, Field(ge=256, le=65_536)] = 4096
    beyond: Literal["sample", "refuse"] = "sample"
    status: Literal[200, 400, 403, 422] = 200
    unread_paths: list[Annotated[str, Field(pattern=r"^/[!-\"$->@-~]*$", max_length=512)]] = []

"""What may stand in `config/router.yaml`. Every key is honoured; a key that is not here is an error.

Names follow vLLM Semantic Router's configuration of late 2025 where it has one for the same thing.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, PositiveInt, field_validator
from pydantic_core import PydanticCustomError

from router_extproc.settings.cache_schema import CategoryCache, SemanticCache
from router_extproc.settings.guard_schema import PiiModel, PromptGuard, ScreeningLimits, Threshold
from router_extproc.settings.observability_schema import Observability
from router_extproc.settings.pool_schema import Endpoint, Model, ReasoningFamily, Upstream
from router_extproc.settings.routing_schema import (
    CustomClassifier,
    Decision,
    EntropyReasoning,
    Selection,
    Session,
    Signals,
    SystemPrompt,
    Tools,
)
from router_extproc.settings.strict import Host, Name, Port, Share, Strict
from router_extproc.settings.tls_schema import ApiTls, ExtProcTls, ServerTls

MAX_WORKERS: Final = 64

CategoryName = Literal[
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
]  # fmt: skip
"""The 14 domains of MMLU-Pro, which the shipped domain head knows."""


class Address(Strict):
    """Where something listens. `advertised_address` is where others reach it, when that is another place: the
    name of a container or of a service in front of it."""

    address: Host = "127.0.0.1"
    port: Port
    advertised_address: Host | None = None


class ExtProcAddress(Address):
    """With `path`, relative to the configuration, a Unix socket in the place of address and port. Of several
    workers the first has what is written, and the others the next ports, or the path with `.1`, `.2` and so
    on behind it."""

    port: Port = 50051
    tls: ExtProcTls | None = None
    path: Annotated[str, Field(min_length=1)] | None = None


class ApiAddress(Address):
    """`allowed_hosts` are names that clients may call it by, beside IP addresses and `localhost`. By default
    none on loopback, where a browser could be led here by any name, and any elsewhere."""

    tls: ApiTls | None = None
    allowed_hosts: list[Host] | None = None


class MetricsAddress(Address):
    tls: ServerTls | None = None
    allowed_hosts: list[Host] | None = None


class Listeners(Strict):
    """Where each part listens. Loopback by default: exposing the router is a decision."""

    envoy: Address = Address(port=8801)
    ext_proc: ExtProcAddress = ExtProcAddress()
    api: ApiAddress = ApiAddress(port=8080)
    metrics: MetricsAddress = MetricsAddress(port=9190)

    @field_validator("metrics")
    @classmethod
    def _not_advertised(cls, given: Address) -> Address:
        if given.advertised_address is not None:
            raise PydanticCustomError(
                "inert", "`advertised_address` has no effect here: who reads the metrics names the router"
            )
        return given


class ModelScore(Strict):
    model: Name
    score: Share = 1.0
    lora_name: Name | None = None
    use_reasoning: bool = False
    reasoning_effort: Literal["low", "medium", "high"] | None = None


class Category(Strict):
    name: CategoryName
    model_scores: list[ModelScore] = []
    semantic_cache: CategoryCache = CategoryCache()
    system_prompt: SystemPrompt | None = None
    jailbreak_enabled: bool | None = None
    jailbreak_threshold: Threshold | None = None
    pii_enabled: bool | None = None
    pii_threshold: Threshold | None = None


class CategoryModel(Strict):
    threshold: Share = 0.5


class Classifier(Strict):
    category_model: CategoryModel = CategoryModel()
    pii_model: PiiModel = PiiModel()


class Encoder(Strict):
    """`bundle` is a folder made by `router-extproc models build`; by default the one in the model cache.
    `threads`, of each worker, defaults to half of its share of the control group's CPU quota, at least
    one."""

    bundle: str | None = None
    threads: PositiveInt | None = None
    max_tokens: Annotated[int, Field(ge=16, le=512)] = 256
    timeout_ms: PositiveInt = 500


class Limits(Strict):
    """`max_body_bytes` bounds a request body, in the router and in Envoy's buffers; `max_body_values` the
    values of its JSON, which cost more time than text does."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 16 * 1024 * 1024
    max_body_values: Annotated[int, Field(ge=1000, le=10_000_000)] = 131_072
    max_streams: PositiveInt = 10_000


class Shutdown(Strict):
    """What SIGTERM begins: for `drain_seconds` the router says that it is not ready, and serves whatever
    comes; then it takes nothing new, and what is under way has `grace_seconds` to end."""

    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0


class SimulatedModel(Strict):
    """Pace of one simulated model; it listens on the endpoints that `model_config` gives the model."""

    time_to_first_token_ms: Annotated[float, Field(ge=0)] = 50.0
    tokens_per_second: Annotated[float, Field(gt=0)] = 100.0


class Simulator(Strict):
    """`address` is what the simulated servers listen on, where that is not what the endpoints say: in a
    container, whose name the endpoints have."""

    address: Host | None = None
    models: dict[Name, SimulatedModel]


class Admin(Strict):
    """`token_file`, relative to the configuration, holds the bearer token of the calls that change something
    or show the cache or the configuration; it is written with a fresh token when it is not there. Without it
    those calls are refused, and the API listens on loopback only."""

    token_file: str | None = None


class Page(Strict):
    """The page for people on the API's port, `/ui/`, served by a process of its own. `envoy_url` is where its
    playground sends requests; by default `listeners.envoy`, as this machine reaches it."""

    enabled: bool = False
    max_viewers: Annotated[int, Field(ge=1, le=64)] = 16
    envoy_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+$")] | None = None


class Settings(Strict):
    """The whole of `router.yaml`. `when_router_is_away`: whether requests that the router does not judge go
    to the default model or are refused; by default they are refused where a guard may refuse any."""

    listeners: Listeners = Listeners()
    auto_model_name: Name = "MoM"
    model_aliases: list[Name] = []
    include_config_models_in_list: bool = True
    default_model: Name
    when_router_is_away: Literal["pass", "refuse"] | None = None
    vllm_endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    models: Annotated[dict[Name, Model], Field(alias="model_config", min_length=1)]
    upstream: Upstream = Upstream()
    reasoning_families: dict[str, ReasoningFamily] = {}
    default_reasoning_effort: Literal["low", "medium", "high"] = "medium"
    classifier: Classifier = Classifier()
    categories: list[Category] = []
    entropy_reasoning: EntropyReasoning = EntropyReasoning()
    signals: Signals = Signals()
    classifiers: list[CustomClassifier] = []
    decisions: list[Decision] = []
    selection: Selection = Selection()
    session: Session = Session()
    tools: Tools = Tools()
    prompt_guard: PromptGuard = PromptGuard()
    screening: ScreeningLimits = ScreeningLimits()
    encoder: Encoder = Encoder()
    semantic_cache: SemanticCache = SemanticCache()
    limits: Limits = Limits()
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = 1
    shutdown: Shutdown = Shutdown()
    observability: Observability = Observability()
    admin: Admin = Admin()
    page: Page = Page()
    simulator: Simulator | None = None

"""What may stand in `config/router.yaml`. Every key is honoured; a key that is not here is an error.

Names follow vLLM Semantic Router's configuration of late 2025 where it has one for the same thing.
"""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from router_extproc.settings.refused import refused_in
from router_extproc.settings.routing_schema import (
    CustomClassifier,
    Decision,
    Selection,
    Session,
    Signals,
    SystemPrompt,
    Tools,
)
from router_extproc.settings.strict import Host, Identifier, Name, Port, Share, Strict

CategoryName = Literal[
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health",
    "history", "law", "math", "other", "philosophy", "physics", "psychology",
]  # fmt: skip
"""The 14 domains of MMLU-Pro, which the shipped domain head knows."""


class Address(Strict):
    address: Host = "127.0.0.1"
    port: Port


class Listeners(Strict):
    """Where each part listens. Loopback by default: exposing the router is a decision."""

    envoy: Address = Address(port=8801)
    ext_proc: Address = Address(port=50051)
    api: Address = Address(port=8080)
    metrics: Address = Address(port=9190)


class EndpointTls(Strict):
    """TLS to an endpoint. The server's certificate is always verified: against `ca_file`, else the system's
    authorities; `server_name` is SNI and the name that the certificate must have, by default the address."""

    enabled: bool = True
    ca_file: str | None = None
    server_name: Host | None = None


class ApiKey(Strict):
    """Sent as `Authorization: Bearer KEY` in place of the client's own. From the environment variable `env`
    of the process that renders Envoy's configuration, or the file `file`, which Envoy reads and watches."""

    env: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "ApiKey":
        if (self.env is None) == (self.file is None):
            raise ValueError("give either `env` or `file`")
        return self


class HealthCheck(Strict):
    """Envoy asks each endpoint for `path` every `interval_seconds`."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=512)] = "/health"
    interval_seconds: Annotated[float, Field(gt=0, le=300)] = 5.0
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0


class Endpoint(Strict):
    """One server of the pool, by host name or address. `weight` shares a model's requests among its
    endpoints. `path_prefix` replaces `/v1` for providers that serve the API elsewhere."""

    name: Name
    address: Host
    port: Port
    weight: PositiveInt = 1
    tls: EndpointTls | None = None
    path_prefix: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=512)] | None = None


class Pricing(Strict):
    """A model's price, per million tokens: what `multi_factor` and `adaptive` weigh as cost."""

    currency: str = "USD"
    prompt_per_1m: Annotated[float, Field(ge=0)]
    completion_per_1m: Annotated[float, Field(ge=0)]


class Lora(Strict):
    """An adapter that the model's servers have loaded under this name."""

    name: Name
    description: str = ""


class Model(Strict):
    """One model of the pool, by the name its servers know it under. `context_window` in tokens; without it a
    request of any length may be sent there. `capabilities` says what else the model can do than text."""

    preferred_endpoints: Annotated[list[Name], Field(min_length=1)]
    reasoning_family: str | None = None
    pricing: Pricing | None = None
    quality: Share = 0.5
    context_window: PositiveInt | None = None
    capabilities: list[Literal["vision", "tools"]] = ["tools"]
    loras: list[Lora] = []
    api_key: ApiKey | None = None
    health_check: HealthCheck | None = None


class ReasoningFamily(Strict):
    """How a family's thinking is switched: a boolean in `chat_template_kwargs`, or `reasoning_effort`."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: Annotated[str, Field(min_length=1, max_length=128)]


class ModelScore(Strict):
    model: Name
    score: Share = 1.0
    lora_name: Name | None = None
    use_reasoning: bool = False
    reasoning_effort: Literal["low", "medium", "high"] | None = None


CacheMode = Literal["off", "exact", "semantic"]


class CategoryCache(Strict):
    """How questions of one category use the semantic cache; what is not given is as for all others."""

    mode: CacheMode | None = None
    similarity_threshold: Share | None = None
    ttl_seconds: PositiveInt | None = None


class Category(Strict):
    name: CategoryName
    model_scores: list[ModelScore] = []
    semantic_cache: CategoryCache = CategoryCache()
    system_prompt: SystemPrompt | None = None


class CategoryModel(Strict):
    threshold: Share = 0.5


class Classifier(Strict):
    category_model: CategoryModel = CategoryModel()


class Encoder(Strict):
    """`bundle` is a folder made by `router-extproc models build`; by default the one in the model cache.
    `threads` defaults to half of the CPU quota of the control group, at least one."""

    bundle: str | None = None
    threads: PositiveInt | None = None
    max_tokens: Annotated[int, Field(ge=16, le=512)] = 256
    timeout_ms: PositiveInt = 500


class Verification(Strict):
    """`share` of the answers found by meaning are fetched from the model all the same and compared."""

    share: Share = 0.0


class PairVerifier(Strict):
    """A second model reads the question beside each candidate and says how probably they ask the same. A
    candidate in which the guard saw a sign of a difference answers from `threshold` on, one in which it saw
    nothing unless the probability is below `veto`. Both hold at a cosine of 0.8: the nearer the vectors, the
    less it takes. Where it is not `enabled`, the guard alone decides."""

    enabled: bool = True
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    veto: Annotated[float, Field(ge=0, le=1)] = 0.88


class SemanticCache(Strict):
    """`max_entries` and `max_bytes` bound the entries in memory, `max_pending_writes` and
    `max_pending_bytes` those that wait to be written; bytes are of prompts, answers and vectors.

    `scope` says who shares answers: those with the same `credential`, those with the same `header:NAME`,
    which Envoy sets after it has authenticated the client, or everybody (`shared`). `tenant_key_env` names an
    environment variable whose value keys the tenants' digests. `mode` holds for questions in no category for
    certain, and for categories without a mode of their own. `lookup_timeout_ms` bounds all lookups of one
    request together, `coalesce_timeout_ms` how long it waits for an identical one under way (0: not at all).
    """

    enabled: bool = True
    backend_type: Literal["memory", "milvus", "hybrid"] = "memory"
    backend_config_path: str | None = None
    scope: Annotated[str, Field(pattern=r"^(credential|shared|header:[a-z0-9][a-z0-9-]{0,126})$")] = (
        "credential"
    )
    tenant_key_env: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    mode: CacheMode = "semantic"
    similarity_threshold: Share = 0.65
    candidates: Annotated[int, Field(ge=1, le=50)] = 5
    max_temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    max_entries: PositiveInt = 1000
    max_bytes: Annotated[int, Field(ge=65_536)] = 256 * 1024 * 1024
    ttl_seconds: PositiveInt = 3600
    eviction_policy: Literal["fifo", "lru", "lfu"] = "fifo"
    max_answer_bytes: PositiveInt = 262_144
    lookup_timeout_ms: PositiveInt = 50
    coalesce_timeout_ms: NonNegativeInt = 2000
    stale_if_error_seconds: NonNegativeInt = 0
    verifier: PairVerifier = PairVerifier()
    verification: Verification = Verification()
    invalidation_poll_seconds: Annotated[float, Field(ge=0.1, le=300)] = 2.0
    max_pending_writes: PositiveInt = 256
    max_pending_bytes: Annotated[int, Field(ge=65_536)] = 64 * 1024 * 1024


class Limits(Strict):
    """`max_body_bytes` bounds a request body, in the router and in Envoy's buffers."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 16 * 1024 * 1024
    max_streams: PositiveInt = 10_000


class SimulatedModel(Strict):
    """Pace of one simulated model; it listens on the endpoints that `model_config` gives the model."""

    time_to_first_token_ms: Annotated[float, Field(ge=0)] = 50.0
    tokens_per_second: Annotated[float, Field(gt=0)] = 100.0


class Simulator(Strict):
    models: dict[Name, SimulatedModel]


class Admin(Strict):
    """`token_file`, relative to the configuration, holds the bearer token of the calls that show or change
    the cache; it is written with a fresh token when it is not there. Without it those calls do not exist."""

    token_file: str | None = None


class Observability(Strict):
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Strict):
    """The whole of `router.yaml`."""

    listeners: Listeners = Listeners()
    auto_model_name: Name = "MoM"
    model_aliases: list[Name] = []
    include_config_models_in_list: bool = True
    default_model: Name
    vllm_endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    models: Annotated[dict[Name, Model], Field(alias="model_config", min_length=1)]
    reasoning_families: dict[str, ReasoningFamily] = {}
    default_reasoning_effort: Literal["low", "medium", "high"] = "medium"
    classifier: Classifier = Classifier()
    categories: list[Category] = []
    signals: Signals = Signals()
    classifiers: list[CustomClassifier] = []
    decisions: list[Decision] = []
    selection: Selection = Selection()
    session: Session = Session()
    tools: Tools = Tools()
    encoder: Encoder = Encoder()
    semantic_cache: SemanticCache = SemanticCache()
    limits: Limits = Limits()
    observability: Observability = Observability()
    admin: Admin = Admin()
    simulator: Simulator | None = None


class MilvusAuth(Strict):
    """The password is read from the environment variable `password_env`, never from the file."""

    enabled: bool = True
    username: str | None = None
    password_env: Annotated[str, Field(min_length=1)] = "MILVUS_PASSWORD"  # noqa: S105 - a variable's name


class MilvusTls(Strict):
    """`ca_file` is another name for `ca_pem_path`. With `cert_file` and `key_file`, the router shows who it
    is too. Paths are relative to the file."""

    enabled: bool = True
    ca_pem_path: str | None = None
    ca_file: str | None = None
    server_name: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def authority(self) -> str | None:
        return self.ca_pem_path or self.ca_file


class MilvusConnection(Strict):
    """Either `path` (embedded Milvus Lite keeps its files there) or `host` and `port` of a server. `timeout`
    (seconds) is for connecting and for preparing the collections; a lookup has the router's."""

    path: Annotated[str, Field(min_length=1)] | None = None
    host: Host | None = None
    port: Port = 19530
    database: Annotated[str, Field(min_length=1, max_length=255)] = "default"
    timeout: Annotated[float, Field(gt=0)] = 10.0
    auth: MilvusAuth | None = None
    tls: MilvusTls | None = None


class MilvusVectorField(Strict):
    """`dimension`, when it is a number, must be the encoder's. Of unit vectors, which the encoder makes, both
    metrics are the cosine."""

    name: Identifier = "embedding"
    dimension: Literal["auto"] | PositiveInt = "auto"
    metric_type: Literal["COSINE", "IP"] = "COSINE"


class MilvusIndexParams(Strict):
    M: Annotated[int, Field(ge=4, le=64)] = 16
    efConstruction: Annotated[int, Field(ge=8, le=512)] = 64  # noqa: N815 - Milvus's own name


def _hnsw(name: object) -> object:
    if isinstance(name, str) and name != "HNSW":
        raise PydanticCustomError(
            "index",
            "only HNSW: a flat index reads every row for each lookup, the others must be trained anew as "
            "rows come and go",
        )
    return name


class MilvusIndex(Strict):
    type: Annotated[Literal["HNSW"], BeforeValidator(_hnsw)] = "HNSW"
    params: MilvusIndexParams = MilvusIndexParams()


class MilvusCollection(Strict):
    """The collection's real name is `name` plus a digest of the encoder's identity and the rows' layout."""

    name: Identifier = "semantic_cache"
    description: Annotated[str, Field(max_length=1024)] = "router-extproc semantic cache"
    vector_field: MilvusVectorField = MilvusVectorField()
    index: MilvusIndex = MilvusIndex()


class MilvusSearchParams(Strict):
    ef: Annotated[int, Field(ge=1, le=32_768)] = 64


def _consistency(name: object) -> object:
    if name == "Session":
        raise PydanticCustomError(
            "consistency",
            "session sees the writes of one connection, and replicas have one each; what this process "
            "wrote it has in memory: use Bounded, or Strong to wait for all replicas' writes at every lookup",
        )
    return name


class MilvusSearch(Strict):
    """`topk` bounds the candidates that one lookup brings from Milvus; the router asks for a few anyway."""

    params: MilvusSearchParams = MilvusSearchParams()
    topk: Annotated[int, Field(ge=1, le=16_384)] | None = None
    consistency_level: Annotated[
        Literal["Strong", "Bounded", "Eventually"], BeforeValidator(_consistency)
    ] = "Bounded"


class MilvusSettings(Strict):
    """The whole of `cache/milvus.yaml`."""

    connection: MilvusConnection
    collection: MilvusCollection = MilvusCollection()
    search: MilvusSearch = MilvusSearch()

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, raw: object) -> object:
        """Keys known from elsewhere are refused with the reason before others are found unknown."""
        problems = [
            InitErrorDetails(type=PydanticCustomError("refused", reason), loc=path, input=None)
            for path, reason in (refused_in(raw) if isinstance(raw, dict) else ())
        ]
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return raw

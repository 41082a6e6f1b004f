"""The semantic cache: `semantic_cache` of `config/router.yaml`, and how one category uses it."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.settings.strict import Share, Strict, Variable

CacheMode = Literal["off", "exact", "semantic"]


class CategoryCache(Strict):
    """How questions of one category use the semantic cache; what is not given is as for all others."""

    mode: CacheMode | None = None
    similarity_threshold: Share | None = None
    ttl_seconds: PositiveInt | None = None


class Verification(Strict):
    """`share` of the answers found by meaning are fetched from the model all the same and compared."""

    share: Share = 0.0


class PairVerifier(Strict):
    """A second model reads the question beside each candidate and says how probably they ask the same. A
    candidate in which the guard saw a sign of a difference answers from `threshold` on, one in which it saw
    nothing unless the probability is below `veto`. Both hold at a cosine of 0.8: the nearer the vectors, the
    less it takes. Where it is not `enabled`, the guard alone decides."""

    enabled: bool = True
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.85
    veto: Annotated[float, Field(ge=0, le=1)] = 0.65


class AnswerScreening(Strict):
    """What keeps an answer out of the cache: personal data (`pii_enabled`) of a type that is not in
    `pii_types_allowed`, and the marks of an attack (`jailbreak_enabled`). What counts is as for requests:
    `threshold` of `classifier.pii_model` and `prompt_guard`, or that of the category or decision. An answer
    that could not be read in time is not kept."""

    pii_enabled: bool = False
    pii_types_allowed: list[str] = []
    jailbreak_enabled: bool = False


class SemanticCache(Strict):
    """What Milvus is and how it is used stands in the file `backend_config_path`, or here in `milvus`.

    `max_entries` and `max_bytes` bound the entries in memory, `max_pending_writes` and
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
    milvus: MilvusSettings | None = None
    scope: Annotated[str, Field(pattern=r"^(credential|shared|header:[a-z0-9][a-z0-9-]{0,126})$")] = (
        "credential"
    )
    tenant_key_env: Variable | None = None
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
    screen_answers: AnswerScreening = AnswerScreening()
    invalidation_poll_seconds: Annotated[float, Field(ge=0.1, le=300)] = 2.0
    max_pending_writes: PositiveInt = 256
    max_pending_bytes: Annotated[int, Field(ge=65_536)] = 64 * 1024 * 1024

"""What the schema cannot say: names that must exist, addresses that must differ, keys without effect."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from router_extproc.base.errors import ConfigError
from router_extproc.base.names import ACCOUNTS, INTERNAL, SECRETS, VSR_CACHE_CONTROL
from router_extproc.settings.schema import (
    Address,
    CategoryCache,
    Endpoint,
    MilvusConnection,
    MilvusSettings,
    ModelScore,
    Settings,
)

MAX_BUDGET_MS = 4000
"""The router's own deadlines for one message stay below this: Envoy waits 5 s for the reply
(`message_timeout`, `MESSAGE_TIMEOUT` in envoyconf/listener.py) and then goes on without the router."""

MAX_MILVUS_ANSWER_BYTES = 384 * 1024
"""A row of Milvus holds 8 x 65,535 bytes (`PIECES` in stores/codec.py), of which 128 KiB are left to the
prompt, the other fields and escapes."""

MILVUS_COLUMNS = (
    "id", "partition", "tenant", "model", "category", "exact_only", "created_at", "expires_at", "size",
    *(f"payload{number}" for number in range(8)),
)  # fmt: skip
"""The names that rows of Milvus use for other things (`columns_of` in stores/collection.py)."""

REQUEST_FIELDS = ("model", "messages", "stream", "stream_options")
"""Fields of a chat completion that no reasoning switch may overwrite."""


def check_settings(path: Path, settings: Settings) -> None:
    """Raises ConfigError with every problem found, each with its path in the file."""
    problems = [
        *_endpoint_problems(settings),
        *_model_problems(settings),
        *_reasoning_problems(settings),
        *_category_problems(settings),
        *_listener_problems(settings),
        *_pool_address_problems(settings),
        *_simulator_problems(settings),
        *_cache_problems(settings),
        *_scope_problems(settings),
        *_budget_problems(settings),
    ]
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")


def check_milvus(path: Path, settings: MilvusSettings) -> None:
    """Raises ConfigError with every problem found, each with its path in the file."""
    problems = [
        *_milvus_place_problems(settings.connection),
        *_milvus_access_problems(settings.connection),
    ]
    field = settings.collection.vector_field.name
    if field in MILVUS_COLUMNS:
        problems.append(f"collection.vector_field.name: {field!r} is another column's name; choose another")
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")


def _milvus_place_problems(connection: MilvusConnection) -> Iterator[str]:
    """Exactly one of an embedded folder and a server; server-only keys belong to a server."""
    if (connection.path is None) == (connection.host is None):
        yield "connection: give either `path` (embedded) or `host` (a server)"
    if connection.path is None:
        return
    for name, part in (("auth", connection.auth), ("tls", connection.tls)):
        if part is not None and part.enabled:
            yield f"connection.{name}: only a server has it; remove `path` or this key"
    for name in ("port", "database"):
        if name in connection.model_fields_set:
            yield f"connection.{name}: only a server has it; remove `path` or this key"


def _milvus_access_problems(connection: MilvusConnection) -> Iterator[str]:
    auth, tls = connection.auth, connection.tls
    if auth is not None and auth.enabled and not auth.username:
        yield "connection.auth.username: is required; or set `enabled: false`"
    if tls is None or not tls.enabled:
        return
    if tls.ca_pem_path and tls.ca_file:
        yield "connection.tls.ca_file: is the same as ca_pem_path; remove one of them"
    if bool(tls.cert_file) != bool(tls.key_file):
        yield "connection.tls: cert_file and key_file belong together; give both or neither"
    elif tls.cert_file and not tls.authority:
        yield "connection.tls.ca_pem_path: is required with cert_file and key_file"


def _endpoint_problems(settings: Settings) -> Iterator[str]:
    seen: set[str] = set()
    for index, endpoint in enumerate(settings.vllm_endpoints):
        if endpoint.name in seen:
            yield f"vllm_endpoints[{index}].name: {endpoint.name!r} stands twice"
        seen.add(endpoint.name)
    used = {name for model in settings.models.values() for name in model.preferred_endpoints}
    for name in sorted(seen - used):
        yield f"vllm_endpoints: no model uses {name!r}; add it to a preferred_endpoints or remove it"


def _model_problems(settings: Settings) -> Iterator[str]:
    endpoints = {endpoint.name for endpoint in settings.vllm_endpoints}
    for name, model in settings.models.items():
        for index, endpoint in enumerate(model.preferred_endpoints):
            if endpoint not in endpoints:
                path = f"model_config.{name}.preferred_endpoints[{index}]"
                yield f"{path}: {endpoint!r} is not in vllm_endpoints"
        family = model.reasoning_family
        if family is not None and family not in settings.reasoning_families:
            yield f"model_config.{name}.reasoning_family: {family!r} is not in reasoning_families"
    for alias in {"auto", settings.auto_model_name} & settings.models.keys():
        yield f"model_config.{alias}: this name means automatic choice; rename the model or auto_model_name"
    if settings.default_model not in settings.models:
        yield f"default_model: {settings.default_model!r} is not in model_config"


def _reasoning_problems(settings: Settings) -> Iterator[str]:
    for name, family in settings.reasoning_families.items():
        if family.parameter in REQUEST_FIELDS:
            path = f"reasoning_families.{name}.parameter"
            yield f"{path}: {family.parameter!r} is a field of every request; name the field that switches"
    types = {family.type for family in settings.reasoning_families.values()}
    if "default_reasoning_effort" in settings.model_fields_set and "reasoning_effort" not in types:
        yield (
            "default_reasoning_effort: has no effect, because no reasoning family is of type "
            "reasoning_effort; remove it"
        )


def _category_problems(settings: Settings) -> Iterator[str]:
    seen: set[str] = set()
    for index, category in enumerate(settings.categories):
        if category.name in seen:
            yield f"categories[{index}].name: {category.name!r} stands twice"
        seen.add(category.name)
        mode = category.semantic_cache.mode or settings.semantic_cache.mode
        for key in _idle_keys(category.semantic_cache, mode):
            yield f"categories[{index}].semantic_cache.{key}: has no effect with mode {mode}; remove it"
        for place, score in enumerate(category.model_scores):
            path = f"categories[{index}].model_scores[{place}]"
            model = settings.models.get(score.model)
            if model is None:
                yield f"{path}.model: {score.model!r} is not in model_config"
            elif score.use_reasoning and model.reasoning_family is None:
                yield f"{path}.use_reasoning: {score.model!r} has no reasoning_family that could switch it"
            elif score.reasoning_effort is not None:
                yield from _effort_problems(f"{path}.reasoning_effort", score, settings)


def _idle_keys(cache: CategoryCache, mode: str) -> Iterator[str]:
    if mode != "semantic" and cache.similarity_threshold is not None:
        yield "similarity_threshold"
    if mode == "off" and cache.ttl_seconds is not None:
        yield "ttl_seconds"


def _effort_problems(path: str, score: ModelScore, settings: Settings) -> Iterator[str]:
    """Of a score that has a `reasoning_effort`, and a model that exists."""
    family = settings.reasoning_families.get(settings.models[score.model].reasoning_family or "")
    if not score.use_reasoning:
        yield f"{path}: has no effect without use_reasoning; set `use_reasoning: true` or remove it"
    elif family is not None and family.type == "chat_template_kwargs":
        yield (
            f"{path}: has no effect, because the family of {score.model!r} is of type chat_template_kwargs, "
            "which is only on or off; remove it"
        )


def _listener_problems(settings: Settings) -> Iterator[str]:
    taken: dict[str, Address] = {}
    for name, address in _listeners(settings):
        for other, place in taken.items():
            if _collide(address, place):
                yield f"{name}: {address.address}:{address.port} is also {other}; change one of the ports"
        taken[name] = address


def _pool_address_problems(settings: Settings) -> Iterator[str]:
    """The simulator listens on the endpoints, so then they are addresses of this machine. Otherwise only the
    ones that say so are: another machine's port 8080 is free to be the same as a listener's."""
    simulated = settings.simulator is not None
    taken: dict[str, Endpoint] = {}
    for index, endpoint in enumerate(settings.vllm_endpoints):
        path, place = f"vllm_endpoints[{index}]", f"{endpoint.address}:{endpoint.port}"
        for name, address in _listeners(settings):
            here = simulated or _is_local(endpoint.address) or _same_host(endpoint.address, address.address)
            if here and _collide(endpoint, address):
                yield f"{path}: {place} is also {name}; change one of the ports"
        for other, earlier in taken.items():
            if simulated and _collide(endpoint, earlier):
                yield f"{path}: {place} is also {other}, and the simulator listens on both; change a port"
        taken[path] = endpoint


def _simulator_problems(settings: Settings) -> Iterator[str]:
    if settings.simulator is None:
        return
    for name in sorted(settings.simulator.models.keys() ^ settings.models.keys()):
        yield f"simulator.models.{name}: simulator.models and model_config must have the same names"
    taken: dict[str, str] = {}
    for name, model in settings.models.items():
        for index, endpoint in enumerate(model.preferred_endpoints):
            if endpoint in taken:
                yield (
                    f"model_config.{name}.preferred_endpoints[{index}]: the simulator already serves "
                    f"{taken[endpoint]!r} at {endpoint!r}; give each simulated model endpoints of its own"
                )
            taken.setdefault(endpoint, name)


def _cache_problems(settings: Settings) -> Iterator[str]:
    cache = settings.semantic_cache
    if cache.backend_type != "memory" and cache.backend_config_path is None:
        yield f"semantic_cache.backend_config_path: is required with backend_type {cache.backend_type}"
    if cache.backend_type == "memory" and cache.backend_config_path is not None:
        yield "semantic_cache.backend_config_path: has no effect with backend_type memory; remove it"
    if cache.backend_type == "memory":
        for key in sorted({"max_pending_writes", "max_pending_bytes"} & cache.model_fields_set):
            yield f"semantic_cache.{key}: has no effect with backend_type memory; remove it"
    if cache.backend_type != "memory" and cache.max_answer_bytes > MAX_MILVUS_ANSWER_BYTES:
        yield (
            f"semantic_cache.max_answer_bytes: a row of Milvus holds answers of {MAX_MILVUS_ANSWER_BYTES} "
            "bytes; lower it, or use backend_type memory"
        )


RESERVED_HEADERS = frozenset((*INTERNAL, *SECRETS, *ACCOUNTS, VSR_CACHE_CONTROL)) | frozenset(
    "accept accept-encoding connection content-length content-type cookie host te traceparent tracestate "
    "transfer-encoding upgrade user-agent x-forwarded-for x-request-id".split()
)
"""Fields that clients send, or that mean something else: Envoy could not set a tenant in them."""


def _scope_problems(settings: Settings) -> Iterator[str]:
    name = settings.semantic_cache.scope.removeprefix("header:")
    if name in RESERVED_HEADERS:
        yield (
            f"semantic_cache.scope: Envoy removes {name!r} from requests and sets it after it has "
            "authenticated the client, and this field is used otherwise; name one of your own"
        )


def _budget_problems(settings: Settings) -> Iterator[str]:
    """One message may wait for the lookups, an identical request and the analysis."""
    analysis, cache = settings.encoder.timeout_ms, settings.semantic_cache
    lookup, company = cache.lookup_timeout_ms, cache.coalesce_timeout_ms
    if analysis + lookup + company >= MAX_BUDGET_MS:
        yield (
            f"encoder.timeout_ms: {analysis} ms, semantic_cache.lookup_timeout_ms ({lookup} ms) and "
            f"semantic_cache.coalesce_timeout_ms ({company} ms) must stay below {MAX_BUDGET_MS} ms together, "
            "because Envoy waits 5000 ms for the router; lower one of them"
        )


def _listeners(settings: Settings) -> Iterator[tuple[str, Address]]:
    for name in type(settings.listeners).model_fields:
        yield f"listeners.{name}", getattr(settings.listeners, name)


def _collide(one: Address | Endpoint, other: Address | Endpoint) -> bool:
    """Whether both cannot be listened on, were they on one machine: a wildcard takes the port everywhere."""
    if one.port != other.port:
        return False
    hosts = (one.address, other.address)
    return _same_host(*hosts) or any(_is_wildcard(host) for host in hosts)


def _same_host(one: str, other: str) -> bool:
    return _canonical(one) == _canonical(other)


def _is_wildcard(host: str) -> bool:
    return _canonical(host) in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _is_local(host: str) -> bool:
    canonical = _canonical(host)
    return canonical == "::1" or canonical.startswith("127.") or _is_wildcard(host)


def _canonical(host: str) -> str:
    """One spelling per address; names stay names, except the one that needs no resolver."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        name = host.lower().rstrip(".")
        return "127.0.0.1" if name == "localhost" else name

"""What the schema cannot say: names that must exist, and addresses that must differ."""

from collections.abc import Iterator
from pathlib import Path

from router_extproc.base.errors import ConfigError
from router_extproc.settings.schema import MilvusSettings, Settings


def check_settings(path: Path, settings: Settings) -> None:
    """Raises ConfigError with every problem found, each with its path in the file."""
    problems = [
        *_endpoint_problems(settings),
        *_model_problems(settings),
        *_category_problems(settings),
        *_listener_problems(settings),
        *_cache_problems(settings),
    ]
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")


def check_milvus(path: Path, settings: MilvusSettings) -> None:
    """Exactly one of an embedded folder and a server; server-only keys belong to a server."""
    connection = settings.connection
    if (connection.path is None) == (connection.host is None):
        raise ConfigError(f"{path}: connection: give either `path` (embedded) or `host` (a server)")
    if connection.path is not None:
        for key in ("auth", "tls"):
            if getattr(connection, key) is not None:
                raise ConfigError(
                    f"{path}: connection.{key}: only a server has it; remove `path` or this key"
                )
        for key in ("port", "database"):
            if key in connection.model_fields_set:
                raise ConfigError(
                    f"{path}: connection.{key}: only a server has it; remove `path` or this key"
                )


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
    if settings.simulator is not None:
        for name in sorted(settings.simulator.models.keys() ^ settings.models.keys()):
            yield f"simulator.models.{name}: simulator.models and model_config must have the same names"


def _category_problems(settings: Settings) -> Iterator[str]:
    seen: set[str] = set()
    for index, category in enumerate(settings.categories):
        if category.name in seen:
            yield f"categories[{index}].name: {category.name!r} stands twice"
        seen.add(category.name)
        for place, score in enumerate(category.model_scores):
            path = f"categories[{index}].model_scores[{place}]"
            model = settings.models.get(score.model)
            if model is None:
                yield f"{path}.model: {score.model!r} is not in model_config"
            elif score.use_reasoning and model.reasoning_family is None:
                yield f"{path}.use_reasoning: {score.model!r} has no reasoning_family that could switch it"


def _listener_problems(settings: Settings) -> Iterator[str]:
    taken: dict[tuple[str, int], str] = {}
    for name in type(settings.listeners).model_fields:
        address = getattr(settings.listeners, name)
        place = (address.address, address.port)
        if place in taken:
            yield f"listeners.{name}: {address.address}:{address.port} is also listeners.{taken[place]}"
        taken[place] = name


def _cache_problems(settings: Settings) -> Iterator[str]:
    cache = settings.semantic_cache
    if cache.backend_type == "milvus" and cache.backend_config_path is None:
        yield "semantic_cache.backend_config_path: is required with backend_type milvus"
    if cache.backend_type == "memory" and cache.backend_config_path is not None:
        yield "semantic_cache.backend_config_path: has no effect with backend_type memory; remove it"

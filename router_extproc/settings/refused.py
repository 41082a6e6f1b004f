"""Keys of `cache/milvus.yaml` that other routers' files have and this one's has not, each with the reason.

In our own form they are refused: they would be unknown keys anyway, but some of them have an effect
elsewhere, some are done without being asked, and one destroys the cache at every start. In a file of vLLM
Semantic Router those that it accepted are told and left out.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

_TELEMETRY = "the router has one log and one set of metrics, see `observability`"

WITHOUT_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        "performance.connection_pool": "one HTTP/2 connection carries all calls",
        "performance.batch": "an answer is written as soon as there is one, one row at a time",
        "data_management.ttl": (
            "the life of an answer is semantic_cache.ttl_seconds of the router's configuration, and expired "
            "rows are deleted once a minute"
        ),
        "data_management.compaction": "compaction is done by Milvus itself",
        "logging.level": "the level is observability.log_level of the router's configuration",
        "logging.enable_query_log": "questions are never logged",
        "logging.enable_metrics": "calls of the store are always counted, on /metrics",
        "development.drop_collection_on_startup": (
            "this router never drops a collection, which all replicas share; to start "
            "empty, set another collection.name, or invalidate the entries"
        ),
        "development.auto_create_collection": "a collection that is missing is always created",
        "development.verbose_errors": "errors always name the cause, and never quote a question",
    }
)
"""What vLLM Semantic Router accepts and does nothing here, by path."""

SUBKEYS: Mapping[str, str] = MappingProxyType(
    {
        "performance.connection_pool": "max_connections max_idle_connections acquire_timeout",
        "performance.batch": "insert_batch_size timeout",
        "data_management.ttl": "enabled timestamp_field cleanup_interval",
        "data_management.compaction": "enabled interval",
    }
)
"""What may stand in those of them that are sections."""

SECTIONS = frozenset(path.partition(".")[0] for path in WITHOUT_EFFECT)
"""The sections of which nothing has an effect."""

IN_THE_OPEN = (
    "a password does not stand in a file; put it into the environment variable that password_env names, and "
    "remove this key"
)

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "connection.auth.password": IN_THE_OPEN,
        "connection.auth.token": "not supported; use username and password_env",
        **dict.fromkeys(sorted(SECTIONS - {"logging"}), "nothing here has an effect; remove it"),
        "logging": f"{_TELEMETRY}; remove it",
        **{path: f"{reason}; remove it" for path, reason in WITHOUT_EFFECT.items()},
        "collection.dimension": "stands in collection.vector_field.dimension",
        "collection.metric_type": "stands in collection.vector_field.metric_type",
        "collection.index_type": "stands in collection.index.type",
        "search.params.nprobe": "belongs to IVF indexes; the index here is HNSW, whose parameter is ef",
    }
)


def refused_in(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The refused keys that `raw` has, each as its path and the reason. Of a section and refused keys in it,
    the keys."""
    found = [path for path in REFUSED if _has(raw, path.split("."))]
    for path in found:
        if not any(other.startswith(f"{path}.") for other in found):
            yield tuple(path.split(".")), REFUSED[path]


def _has(raw: object, path: list[str]) -> bool:
    if not path:
        return True
    return isinstance(raw, Mapping) and path[0] in raw and _has(raw[path[0]], path[1:])

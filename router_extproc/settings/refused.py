"""Keys of `cache/milvus.yaml` that other routers' files have and this one's has not, each with the reason.

They would be unknown keys anyway. But some of them have an effect elsewhere, some are done without being
asked, and one destroys the cache at every start: who brings such a file is told which is which.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

_POOL = "one HTTP/2 connection carries all calls; remove it"
_TELEMETRY = "remove it; the router has one log and one set of metrics, see observability in router.yaml"

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "connection.auth.password": (
            "a password does not stand in a file; put it into the environment variable that password_env "
            "names, and remove this key"
        ),
        "connection.auth.token": "not supported; use username and password_env",
        "performance": "nothing here has an effect; remove it",
        "performance.connection_pool": _POOL,
        "performance.batch": "an answer is written as soon as there is one, one row at a time; remove it",
        "data_management": "nothing here has an effect; remove it",
        "data_management.ttl": (
            "the life of an answer is semantic_cache.ttl_seconds in router.yaml, and "
            "expired rows are deleted once a minute; remove it"
        ),
        "data_management.compaction": "compaction is done by Milvus itself; remove it",
        "logging": _TELEMETRY,
        "logging.level": "the level is observability.log_level in router.yaml; remove it",
        "logging.enable_query_log": "questions are never logged; remove it",
        "logging.enable_metrics": "calls of the store are always counted, on /metrics; remove it",
        "development": "nothing here has an effect; remove it",
        "development.drop_collection_on_startup": (
            "this router never drops a collection, which all replicas share; to start "
            "empty, set another collection.name, or invalidate the entries; remove it"
        ),
        "development.auto_create_collection": "a collection that is missing is always created; remove it",
        "development.verbose_errors": ("errors always name the cause, and never quote a question; remove it"),
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

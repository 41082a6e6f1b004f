"""What the schema cannot say about the Milvus store: keys that exclude or need each other, taken names."""

from collections.abc import Iterator
from pathlib import Path

from router_extproc.base.errors import ConfigError
from router_extproc.settings.milvus_schema import MilvusConnection, MilvusSettings
from router_extproc.settings.problem import Problem

MILVUS_COLUMNS = (
    "id", "partition", "tenant", "model", "category", "exact_only", "created_at", "expires_at", "size",
    *(f"payload{number}" for number in range(8)),
)  # fmt: skip
"""The names that rows of Milvus use for other things (`columns_of` in stores/collection.py)."""


def check_milvus(path: Path, settings: MilvusSettings) -> None:
    """Raises ConfigError with every problem found in the file `path`, each with its place there."""
    problems = [str(problem) for problem in milvus_problems(settings)]
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")


def milvus_problems(settings: MilvusSettings) -> Iterator[Problem]:
    """Everything that is wrong; places are those in the store's own document."""
    yield from _place_problems(settings.connection)
    yield from _access_problems(settings.connection)
    field = settings.collection.vector_field.name
    if field in MILVUS_COLUMNS:
        yield Problem(
            ("collection", "vector_field", "name"), f"{field!r} is another column's name; choose another"
        )


def _place_problems(connection: MilvusConnection) -> Iterator[Problem]:
    """Exactly one of an embedded folder and a server; server-only keys belong to a server."""
    if (connection.path is None) == (connection.host is None):
        yield Problem(("connection",), "give either `path` (embedded) or `host` (a server)")
    if connection.path is None:
        return
    for name, part in (("auth", connection.auth), ("tls", connection.tls)):
        if part is not None and part.enabled:
            yield Problem(("connection", name), "only a server has it; remove `path` or this key")
    for name in ("port", "database"):
        if name in connection.model_fields_set:
            yield Problem(("connection", name), "only a server has it; remove `path` or this key")


def _access_problems(connection: MilvusConnection) -> Iterator[Problem]:
    auth, tls = connection.auth, connection.tls
    if auth is not None and auth.enabled and not auth.username:
        yield Problem(("connection", "auth", "username"), "is required; or set `enabled: false`")
    if tls is None or not tls.enabled:
        return
    if tls.ca_pem_path and tls.ca_file:
        yield Problem(("connection", "tls", "ca_file"), "is the same as ca_pem_path; remove one of them")
    if bool(tls.cert_file) != bool(tls.key_file):
        yield Problem(("connection", "tls"), "cert_file and key_file belong together; give both or neither")
    elif tls.cert_file and not tls.authority:
        yield Problem(("connection", "tls", "ca_pem_path"), "is required with cert_file and key_file")

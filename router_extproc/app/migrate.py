"""`config migrate`: a configuration of any form in our own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from router_extproc.base.errors import OperatorError
from router_extproc.settings.dump import document_of, dump
from router_extproc.settings.load import read_settings
from router_extproc.settings.problem import grouped


def migrate(config: Path, output: Path | None) -> int:
    """Print it, or write it to `output`; warnings go to stderr. Raises OperatorError."""
    loaded = read_settings(config)
    document = document_of(loaded.settings)
    for line in grouped(loaded.warnings):
        sys.stderr.write(f"{config}: {line}\n")
    if output is None:
        sys.stdout.write(dump(document))
        return 0
    try:
        if output.exists() and output.samefile(config):
            raise OperatorError(
                f"{output}: is the file to migrate, whose comments would be lost; name another one"
            )
        _adapt(document, config.parent, output.parent)
        output.write_text(dump(document), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{output}: cannot be written: {error.strerror}") from error
    return 0


def _adapt(document: dict[str, Any], here: Path, there: Path) -> None:
    """Paths relative to a file in `here` become relative to one in `there`."""
    for section, key in _paths(document):
        name = section.get(key)
        if isinstance(name, str) and not Path(name).is_absolute() and here.resolve() != there.resolve():
            section[key] = os.path.relpath(here.resolve() / name, there.resolve())


def _paths(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The keys that name a file beside the configuration, with the section each stands in."""
    cache = document.get("semantic_cache", {})
    yield cache, "backend_config_path"
    connection = (cache.get("milvus") or {}).get("connection") or {}
    yield connection, "path"
    for key in ("ca_pem_path", "ca_file", "cert_file", "key_file"):
        yield connection.get("tls") or {}, key
    yield document.get("tools", {}), "tools_db_path"
    yield document.get("admin", {}), "token_file"
    yield document.get("observability", {}), "debug_token_file"
    for listener in document.get("listeners", {}).values():
        for tls in _tls(listener):
            for key in ("certificate_file", "key_file", "client_ca_file", "ca_file"):
                yield tls, key
    for classifier in document.get("classifiers", ()):
        yield classifier, "path"
    for endpoint in document.get("vllm_endpoints", ()):
        yield endpoint.get("tls") or {}, "ca_file"
    for model in document.get("model_config", {}).values():
        yield model.get("api_key") or {}, "file"


def _tls(listener: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The listener's own, and that of its clients."""
    own = listener.get("tls") or {}
    yield own
    for side in ("envoy", "client"):
        yield own.get(side) or {}

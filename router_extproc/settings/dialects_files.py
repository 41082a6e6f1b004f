"""The files that a configuration of vLLM Semantic Router names: where they are, and what Milvus's holds.

That router is started in the folder above its configuration, and paths are relative to where it is started.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from router_extproc.base.errors import ConfigError
from router_extproc.settings.problem import Notice, Problem
from router_extproc.settings.yaml_file import read_yaml

ABOVE: Final = ("", "..", "../..")
"""Where a file may be, from the folder of the configuration: beside it, or where that router is started, with
its configuration in `config/` or in a folder of it."""

MILVUS: Final = ("semantic_cache", "milvus")

MILVUS_PATHS: Final = (
    ("connection", "path"),
    *(("connection", "tls", key) for key in ("ca_pem_path", "ca_file", "cert_file", "key_file")),
)
"""The keys of Milvus's document that name files."""

Remark = TypeVar("Remark", Problem, Notice)


@dataclass(frozen=True, slots=True)
class Source:
    """`document` is the configuration with all that belongs to it. What is under `semantic_cache.milvus` came
    from the file `milvus`, if one is named; it is the path to show."""

    document: Mapping[str, Any]
    milvus: str = ""

    def placed(self, remark: Remark) -> Remark:
        """With the file that it is about."""
        if self.milvus and remark.loc[: len(MILVUS)] == MILVUS:
            return replace(remark, loc=remark.loc[len(MILVUS) :], file=self.milvus)
        return remark


def gather(path: Path, raw: Mapping[str, Any]) -> Source:
    """`raw`, the document in `path`, with the files that it names found, and Milvus's in its place. Raises
    ConfigError."""
    document = dict(raw)
    tools = document.get("tools")
    if isinstance(tools, Mapping) and isinstance(name := tools.get("tools_db_path"), str) and name:
        document["tools"] = {**tools, "tools_db_path": _found(path.parent, name) or name}
    cache = document.get("semantic_cache")
    name = cache.get("backend_config_path") if isinstance(cache, Mapping) else None
    if not isinstance(cache, Mapping) or not isinstance(name, str) or not name:
        return Source(document)
    found = _found(path.parent, name)
    if not _reads_milvus(cache):
        document["semantic_cache"] = {**cache, "backend_config_path": found or name}
        return Source(document)
    if found is None:
        raise ConfigError(
            f"{path}: semantic_cache.backend_config_path: there is no file {name} beside this one nor in "
            "the folders above it; put it there, or write its content under semantic_cache.milvus"
        )
    file = path.parent / found
    milvus = _rebased(read_yaml(file), file.parent, path.parent)
    rest = {key: value for key, value in cache.items() if key != "backend_config_path"}
    document["semantic_cache"] = {**rest, "milvus": milvus}
    return Source(document, os.path.normpath(file))


def _reads_milvus(cache: Mapping[str, Any]) -> bool:
    """Whether that router would read the file: not while the cache is off, nor beside `milvus`."""
    return (
        cache.get("enabled") is True
        and cache.get("backend_type") in ("milvus", "hybrid")
        and not cache.get("milvus")
    )


def _found(folder: Path, name: str) -> str | None:
    """The path of the file `name` from `folder`."""
    candidates = (str(Path(above) / name) for above in ABOVE)
    return next((each for each in candidates if os.path.isfile(folder / each)), None)


def _rebased(milvus: dict[str, Any], here: Path, there: Path) -> dict[str, Any]:
    """Paths in the file in `here` become relative to the configuration in `there`. One that is not found
    beside the file is looked for as that router would."""
    document = dict(milvus)
    for *sections, key in MILVUS_PATHS:
        node: Any = document
        for section in sections:
            if not isinstance(node, dict) or not isinstance(node.get(section), Mapping):
                node = None
                break
            node[section] = dict(node[section])
            node = node[section]
        name = node.get(key) if isinstance(node, dict) else None
        if not isinstance(name, str) or not name or Path(name).is_absolute():
            continue
        elsewhere = None if key == "path" or os.path.exists(here / name) else _found(there, name)
        node[key] = elsewhere or os.path.relpath(here / name, there)
    return document

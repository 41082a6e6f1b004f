"""From a YAML file to validated settings, or to one line that names the key and the cure."""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from router_extproc.base.errors import ConfigError
from router_extproc.settings.schema import MilvusSettings, Settings

MAX_BYTES = 1024 * 1024
"""A configuration file beyond this is a mistake."""

Schema = TypeVar("Schema", bound=BaseModel)


def load_settings(path: Path) -> Settings:
    """The router's configuration. Raises ConfigError."""
    return _load(path, Settings)


def load_milvus(path: Path) -> MilvusSettings:
    """The configuration of the Milvus store. Raises ConfigError."""
    return _load(path, MilvusSettings)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe subset; a key given twice is an error, because one of the two would be ignored."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, str | int | float | bool):
            raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key_node.start_mark)
        if key in seen:
            problem = f"key {key!r} stands twice (first in line {seen[key]})"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
        seen[key] = key_node.start_mark.line + 1
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _load(path: Path, schema: type[Schema]) -> Schema:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path}: has {len(text)} bytes; a configuration has at most {MAX_BYTES}")
    try:
        raw = yaml.load(text, _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {_yaml_problem(error)}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must hold keys and values, for example `default_model: NAME`")
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error, schema)}") from error


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).splitlines()[0]


def _explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """Every problem, in one line. The value itself is not repeated: it may be a secret."""
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = _path(item["loc"])
        if item["type"] == "extra_forbidden":
            problems.append(f"{path}: unknown key{_nearest(item['loc'], schema)}")
        elif item["type"] == "missing":
            problems.append(f"{path}: is required")
        else:
            problems.append(f"{path}: {item['msg'][:1].lower()}{item['msg'][1:]}")
    return "; ".join(problems)


def _path(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _nearest(loc: tuple[int | str, ...], schema: type[BaseModel]) -> str:
    """`; did you mean NAME?`, or the valid names when none is near."""
    names = sorted(_names_at(loc[:-1], schema))
    close = difflib.get_close_matches(str(loc[-1]), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; valid keys here are {', '.join(names)}" if names else ""


def _names_at(loc: tuple[int | str, ...], schema: type[BaseModel]) -> set[str]:
    """The keys that the model at `loc` knows."""
    document = schema.model_json_schema(by_alias=True)
    node: Any = document
    for part in loc:
        node = _resolve(node, document)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    return set(_resolve(node, document).get("properties", {}))


def _resolve(node: Any, document: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref`, and `anyOf` to its object alternative."""
    if not isinstance(node, dict):
        return {}
    for option in node.get("anyOf", ()):
        if "$ref" in option:
            node = option
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        node = document["$defs"][name]
    return dict(node)

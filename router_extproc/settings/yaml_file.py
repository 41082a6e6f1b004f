"""A YAML file as plain data. Knows nothing of what the keys mean."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from router_extproc.base.errors import ConfigError
from router_extproc.settings.problem import Loc, Problem, Severity

MAX_BYTES: Final = 1024 * 1024
"""A configuration file beyond this is a mistake."""

PLACEHOLDER: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]{0,127}(?::?[-?+=][^}]{0,512})?\}")
"""What shells, docker compose and other routers replace by the value of an environment variable."""

PROSE: Final = frozenset(
    "text system_prompt description keywords candidates examples hard_candidates easy_candidates".split()
)
"""Keys whose values are texts, in which a placeholder may be meant literally."""


MAX_NODES: Final = 200_000
MAX_DEPTH: Final = 50
"""Bounds of a document after YAML's aliases are followed, which can make much of little."""


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


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's mapping. Raises ConfigError."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_yaml(path, text)


def parse_yaml(path: Path, text: bytes) -> dict[str, Any]:
    """The mapping in `text`, which is or may come to be in `path`. Raises ConfigError."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path}: has more than {MAX_BYTES} bytes; a configuration has at most that many")
    try:
        raw = yaml.load(text, _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {_yaml_problem(error)}") from error
    if not _moderate(raw):
        raise ConfigError(
            f"{path}: is nested more than {MAX_DEPTH} deep, or has more than {MAX_NODES} values, aliases "
            "counted each time; a configuration has fewer"
        )
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must hold keys and values, for example `default_model: NAME`")
    return raw


def placeholders(node: object, loc: Loc = ()) -> Iterator[Problem]:
    """Values that were to be replaced before the file came here. In a text it may be meant so."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from placeholders(value, (*loc, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from placeholders(value, (*loc, index))
    elif isinstance(node, str) and (found := PLACEHOLDER.search(node)):
        words = [part for part in loc if isinstance(part, str)]
        if words and words[-1] in PROSE:
            text = f"{found.group()} is not replaced and stands in the text as it is"
            yield Problem(loc, text, Severity.WARNING)
        else:
            yield Problem(
                loc,
                f"{found.group()} is not replaced by an environment variable; write the value, or fill the "
                "file in before, for example with `envsubst`",
            )


def _moderate(raw: object) -> bool:
    waiting, seen = [(raw, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            return False
        if isinstance(node, dict | list):
            waiting.extend((item, depth + 1) for item in (node.values() if isinstance(node, dict) else node))
    return True


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).splitlines()[0]

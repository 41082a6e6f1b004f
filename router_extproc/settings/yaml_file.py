"""A YAML file as plain data. Knows nothing of what the keys mean."""

import re
from collections.abc import Callable, Iterator, Mapping
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


MAX_WRITTEN: Final = 50_000
"""Values as they stand in a file, looked at before anything is made of them: a second's work."""

MAX_NODES: Final = 200_000
MAX_DEPTH: Final = 50
"""Bounds of a document after YAML's aliases are followed, which can make much of little."""

MAX_NUMBER: Final = 64
"""Characters. A number in base 60 (`1:30:00`, as YAML 1.1 has them) takes time by the square of its
length."""

NOT_AS_TAGGED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the library raises for a value that is not what its tag says, such as `!!bool maybe`."""


class Loader(yaml.CSafeLoader):
    """YAML's safe subset; a key given twice is an error, because one of the two would be ignored."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Raises YAMLError, and nothing else."""
        try:
            return super().construct_object(node, deep)
        except NOT_AS_TAGGED as error:
            said = str(error) if isinstance(error, ValueError) else "is not what its tag says"
            raise yaml.MarkedYAMLError(problem=said, problem_mark=node.start_mark) from error


def _number(construct: Callable[[Loader, yaml.ScalarNode], Any]) -> Callable[[Loader, yaml.ScalarNode], Any]:
    def number(loader: Loader, node: yaml.ScalarNode) -> Any:
        if len(node.value) > MAX_NUMBER:
            problem = f"a number has at most {MAX_NUMBER} characters"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return construct(loader, node)

    return number


def _mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
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


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
Loader.add_constructor("tag:yaml.org,2002:int", _number(Loader.construct_yaml_int))
Loader.add_constructor("tag:yaml.org,2002:float", _number(Loader.construct_yaml_float))


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
        raw = yaml.load(text, Loader) if (moderate := _is_moderate_as_written(text)) else None  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {_yaml_problem(error)}") from error
    if not moderate or not _moderate(raw):
        raise ConfigError(
            f"{path}: is nested more than {MAX_DEPTH} deep, or has more than {MAX_WRITTEN} values, or more "
            f"than {MAX_NODES} with aliases counted each time; a configuration has fewer"
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


def _is_moderate_as_written(text: bytes) -> bool:
    """Whether reading it as a whole takes little time and stack. Raises YAMLError."""
    depth = written = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        written += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH or written > MAX_WRITTEN:
            return False
    return True


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

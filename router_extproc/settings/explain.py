"""What pydantic says about a document, in our words. Values are not repeated: one may be a secret."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from router_extproc.settings.problem import Loc, Problem, pattern_of, unknown_key


def problems_of(
    error: ValidationError,
    document: Mapping[str, Any],
    schema: type[BaseModel],
    origin_of: Callable[[Loc], Loc] = lambda loc: loc,
    more_names: Callable[[str], Iterable[str]] = lambda pattern: (),
) -> list[Problem]:
    """`document` is what was validated; `origin_of` finds the place in the user's file, `more_names` the keys
    that a section (a pattern) may have there besides the schema's. Two remarks about one value become one."""
    texts: dict[Loc, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        loc = _trodden(item["loc"], document)
        origin = origin_of(loc)
        if item["type"] == "extra_forbidden":
            names = {*names_at(loc[:-1], schema), *more_names(pattern_of(origin[:-1]))}
            text = unknown_key(loc[-1], names)
        elif item["type"] == "missing":
            text = "is required"
        else:
            message = item["msg"].removeprefix("Value error, ")
            text = f"{message[:1].lower()}{message[1:]}"
        said = texts.setdefault(origin, [])
        if text not in said:
            said.append(text)
    return [Problem(loc, ", or ".join(said)) for loc, said in texts.items()]


def names_at(loc: Loc, schema: type[BaseModel]) -> set[str]:
    """The keys that the model at `loc` knows."""
    document = _json_schema(schema)
    nodes = list(_resolved(document, document))
    for part in loc:
        below: list[Any] = []
        for node in nodes:
            if isinstance(part, int):
                below.append(node.get("items"))
            else:
                below.append(node.get("properties", {}).get(part) or node.get("additionalProperties"))
        nodes = [found for node in below for found in _resolved(node, document)]
    return {name for node in nodes for name in node.get("properties", {})}


@cache
def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema(by_alias=True)


def _trodden(loc: Loc, document: Any) -> Loc:
    """`loc` without the names of types that pydantic puts in where there are several. The last part may be a
    key that is not there."""
    node, path = document, list[int | str]()
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(node, dict) and (part in node or last):
            node = node.get(part)
            path.append(part)
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part] if part < len(node) else None
            path.append(part)
    return tuple(path)


def _resolved(node: Any, document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The alternatives that `node` stands for, without references."""
    if not isinstance(node, dict):
        return
    if "$ref" in node:
        yield from _resolved(document["$defs"][node["$ref"].rpartition("/")[2]], document)
        return
    alternatives = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
    for alternative in alternatives:
        yield from _resolved(alternative, document)
    if not alternatives:
        yield node

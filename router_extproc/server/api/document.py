"""The OpenAPI 3.1 document of a table of routes. It says nothing that the table does not: bodies are the
Shapes that are decoded and encoded, statuses follow from the codes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from router_extproc import __version__
from router_extproc.server.api.route import JSON, Access, Route
from router_extproc.server.replies import MEANING, STATUS, Code, ErrorReply

REF: Final = "#/components/schemas/{name}"
TITLE: Final = "router-extproc"
ABOUT: Final = (
    "What the router makes of texts, what it would decide, its cache and its configuration. Errors are "
    "`{error: {code, message, timestamp}}`. Unknown fields and parameters are refused by name. Calls that "
    "change something or show what another has written need the token in `admin.token_file`; a router "
    "without one refuses them with 403 and listens on loopback only."
)


def document_of(table: Sequence[Route]) -> dict[str, Any]:
    """The document, as plain data."""
    kinds = list(dict.fromkeys(_kinds(table)))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, of, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": __version__, "description": ABOUT},
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in table)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _kinds(table: Iterable[Route]) -> Iterator[Any]:
    yield ErrorReply
    for route in table:
        yield from (kind for kind in (route.takes, *route.answers.values()) if kind is not None)


def _operation(route: Route, of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "responses": _responses(route, of),
    }
    if route.detail:
        operation["description"] = route.detail
    if route.access is Access.TOKEN:
        operation["security"] = [{"token": []}]
    if route.has_body:
        operation["requestBody"] = _body(route, of)
    elif route.takes is not None:
        operation["parameters"] = _parameters(route, components[route.takes.__name__])
    return operation


def operation_id(route: Route) -> str:
    words = route.path.strip("/").replace("{", "").replace("}", "").replace("-", "_").replace(".", "_")
    return f"{route.method.lower()}_{words.replace('/', '_') or 'root'}"


def _body(route: Route, of: dict[Any, Any]) -> dict[str, Any]:
    if route.takes is None:
        schema: Any = {"type": "string"}
    else:
        schema = of[route.takes]
    content = {kind: {"schema": schema} for kind in route.consumes}
    return {"required": not route.optional_body, "content": content}


def _parameters(route: Route, shape: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, schema in shape["properties"].items():
        in_path = f"{{{name}}}" in route.path
        found.append(
            {
                "name": name,
                "in": "path" if in_path else "query",
                "required": in_path or name in shape.get("required", ()),
                "schema": _stated(schema),
            }
        )
    return found


def _stated(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not: it is never null."""
    if "anyOf" not in schema:
        return schema
    (stated,) = (each for each in schema["anyOf"] if each != {"type": "null"})
    return dict(stated)


def _responses(route: Route, of: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in (route.answers or {200: None}).items():
        schema = {"type": "string"} if kind is None else of[kind]
        if kind is None and route.produces == JSON:
            schema = {"type": "object"}
        found[str(status)] = {
            "description": route.summary if status == 200 else "The same, of what does not hold",
            "content": {route.produces: {"schema": schema}},
        }
    for status, codes in statuses_of(route):
        told = "; ".join(f"`{code}`: {MEANING[code]}" for code in codes)
        content = {JSON: {"schema": of[ErrorReply]}}
        if str(status) in found:
            own = found[str(status)]["content"][JSON]["schema"]
            content = {JSON: {"schema": {"anyOf": [own, of[ErrorReply]]}}}
        found[str(status)] = {"description": told, "content": content}
    return dict(sorted(found.items()))


def statuses_of(route: Route) -> list[tuple[int, list[Code]]]:
    """The statuses of errors, and the codes of each."""
    by_status: dict[int, list[Code]] = {}
    for code in route.errors:
        by_status.setdefault(STATUS[code], []).append(code)
    return sorted(by_status.items())

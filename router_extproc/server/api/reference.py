"""The table for people: the page at `/docs`, which needs nothing from elsewhere, and `docs/API.md`."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from router_extproc.server.api.document import ABOUT, REF, TITLE, document_of, statuses_of
from router_extproc.server.api.route import Access, Route
from router_extproc.server.replies import MEANING, STATUS, Code

PREFIX: Final = REF.removesuffix("{name}")

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem; border-bottom: 1px solid #8886; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.6rem; border: 1px solid #8886; }
td:first-child { white-space: nowrap; }
"""


def page(table: Sequence[Route]) -> str:
    """HTML without scripts, fonts or pictures."""
    document = document_of(table)
    rows = "".join(_rows(table))
    shapes = "".join(
        f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{_inline(shape.get("description", ""))}</p>'
        f"<pre>{escape(json.dumps(_without_text(shape), indent=2))}</pre>"
        for name, shape in sorted(document["components"]["schemas"].items())
    )
    errors = "".join(
        f"<tr><td>{STATUS[code]}</td><td><code>{code}</code></td><td>{_inline(MEANING[code])}</td></tr>"
        for code in Code
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{TITLE}: HTTP API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f'<body><h1>{TITLE}: HTTP API</h1><p>{_inline(ABOUT)} <a href="/openapi.json">/openapi.json</a></p>'
        f"{rows}<h2>Errors</h2><table><thead><tr><th>status</th><th>code</th><th>meaning</th></tr></thead>"
        f"<tbody>{errors}</tbody></table><h2>Shapes</h2>{shapes}</body></html>"
    )


def markdown(table: Sequence[Route]) -> str:
    """The tables of `docs/API.md`."""
    return "\n".join(_lines(table)) + "\n"


def _rows(table: Sequence[Route]) -> Iterator[str]:
    for tag in dict.fromkeys(route.tag for route in table):
        yield (
            f"<h2>{escape(tag)}</h2><table><thead><tr><th>call</th><th>what</th><th>takes</th>"
            "<th>answers</th><th>errors</th></tr></thead><tbody>"
        )
        for route in table:
            if route.tag == tag:
                yield _row(route)
        yield "</tbody></table>"


def _row(route: Route) -> str:
    token = " (token)" if route.access is Access.TOKEN else ""
    takes = _link(route.takes) if route.takes else _media(route.consumes if route.has_body else ())
    kinds = dict.fromkeys(route.answers.values())
    answers = ", ".join(map(_link, kinds)) or _media((route.produces,))
    errors = ", ".join(str(status) for status, _ in statuses_of(route))
    return (
        f"<tr><td><code>{route.method} {escape(route.path)}</code>{token}</td>"
        f"<td>{_inline(route.summary)}</td><td>{takes}</td><td>{answers}</td><td>{errors}</td></tr>"
    )


def _link(kind: Any) -> str:
    return f'<a href="#{kind.__name__}">{kind.__name__}</a>'


def _media(kinds: Sequence[str]) -> str:
    return ", ".join(f"<code>{escape(kind)}</code>" for kind in kinds)


def _inline(text: str) -> str:
    """Text with `words` as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _without_text(shape: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shape.items() if key not in ("title", "description")}


def _lines(table: Sequence[Route]) -> Iterator[str]:
    shapes = document_of(table)["components"]["schemas"]
    for tag in dict.fromkeys(route.tag for route in table):
        yield f"## {tag}\n"
        yield "| call | what | takes | answers | errors |\n|---|---|---|---|---|"
        for route in (each for each in table if each.tag == tag):
            takes = _names([route.takes] if route.takes else [], route.consumes if route.has_body else ())
            answers = _names(list(dict.fromkeys(route.answers.values())), (route.produces,))
            token = ", token" if route.access is Access.TOKEN else ""
            errors = ", ".join(str(status) for status, _ in statuses_of(route))
            call = f"`{route.method} {route.path}`{token}"
            yield f"| {call} | {route.summary} | {takes} | {answers} | {errors} |"
        yield ""
    yield "## Errors\n"
    yield "| status | code | meaning |\n|---|---|---|"
    yield from (f"| {STATUS[code]} | `{code}` | {MEANING[code]} |" for code in Code)
    yield "\n## Shapes\n"
    for name, shape in sorted(shapes.items()):
        if "properties" not in shape:
            continue
        told = shape.get("description", "")
        yield f"### {name}\n"
        if told:
            yield " ".join(told.split()) + "\n"
        yield "| field | type | |\n|---|---|---|"
        required = shape.get("required", ())
        for field, schema in shape["properties"].items():
            yield f"| `{field}` | {_type(schema)} | {_field(schema, is_required=field in required)} |"
        yield ""


def _names(kinds: Sequence[Any], media: Sequence[str]) -> str:
    if kinds:
        return ", ".join(f"[{kind.__name__}](#{kind.__name__.lower()})" for kind in kinds)
    return ", ".join(f"`{each}`" for each in media)


def _field(schema: dict[str, Any], *, is_required: bool) -> str:
    told = str(schema.get("description", ""))
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "at least"), ("maximum", "at most"), ("minLength", "length at least"),
            ("maxLength", "length at most"), ("minItems", "items at least"), ("maxItems", "items at most"),
        )
        if key in schema
    ]  # fmt: skip
    default = [] if "default" not in schema else [f"default `{json.dumps(schema['default'])}`"]
    optional = [] if is_required or default else ["may be absent"]
    return "; ".join([*([told.rstrip(".")] if told else []), *bounds, *default, *optional]).replace(
        "|", "\\|"
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(PREFIX)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and "additionalProperties" in schema:
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any value"))

"""`docs/CONFIGURATION.md` has every key of our form, and every reason for a key without effect."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from router_extproc.settings.dialects_inert import INERT, PLUGINS, WHOLE
from router_extproc.settings.schema import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "CONFIGURATION.md").read_text()
WORDS = frozenset(
    word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in re.split(r"[^A-Za-z0-9_]+", code)
)


def keys_of(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{field.alias or name}"
        for part in models_in(field.annotation):
            yield from keys_of(part, seen)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


@pytest.mark.parametrize("key", tuple(keys_of(Settings, set())))
def test_every_key_is_documented(key: str) -> None:
    assert key.partition(".")[2] in WORDS


@pytest.mark.parametrize("path", [*INERT, *WHOLE])
def test_every_key_without_effect_is_documented_with_the_reason(path: str) -> None:
    shown = path.replace("model_config.*", "model_config.NAME").replace(".*", "[]")
    reason = INERT[path] if path in INERT else WHOLE[path].reason
    assert any(f"`{shown}`" in line and line.endswith(f"| {reason} |") for line in PAGE.splitlines())


@pytest.mark.parametrize("kind", PLUGINS)
def test_every_plugin_without_effect_is_documented(kind: str) -> None:
    lines = (line for line in PAGE.splitlines() if f"plugin `{kind}`" in line)
    assert any(line.endswith(f"| {PLUGINS[kind].reason} |") for line in lines)


def test_the_walk_over_the_schema_reaches_its_depths() -> None:
    keys = set(keys_of(Settings, set()))
    assert {"Condition.type", "Predicate.lte", "PrototypeClass.examples", "EndpointTls.ca_file"} <= keys

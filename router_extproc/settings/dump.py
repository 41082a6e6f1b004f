"""Settings as a YAML document of our own form, in the order of the schema."""

from typing import Any

import yaml

from router_extproc.settings.schema import Settings


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that they can be read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def document_of(settings: Settings) -> dict[str, Any]:
    """What was given, and nothing that is a default; plain data."""
    document: dict[str, Any] = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document


def dump(document: dict[str, Any]) -> str:
    """A section for each key, with the innermost mappings and lists on one line where they fit."""
    return "".join(_section(key, value) for key, value in document.items())


def _section(key: str, value: object) -> str:
    block = not isinstance(value, dict | list) or _multiline(value)
    text: str = yaml.dump(
        {key: value},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=False if block else None,
    )
    return text


def _multiline(value: object) -> bool:
    """Whether a text of several lines is in it, which would not stand on one line."""
    if isinstance(value, dict):
        return any(_multiline(item) for item in value.values())
    if isinstance(value, list):
        return any(_multiline(item) for item in value)
    return isinstance(value, str) and "\n" in value

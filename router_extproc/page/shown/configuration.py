"""The configuration in force, why a change of it was refused, and what a check found."""

from collections.abc import Mapping
from typing import Any

import yaml

from router_extproc.page.shown.words import since


def facts(state: Mapping[str, Any], uptime: float) -> list[tuple[str, str]]:
    """`state` is `/config/router`."""
    return [
        ("Generation", f"{state['generation']} since the start, {since(uptime)} ago"),
        ("Policy", str(state["policy"])),
        ("File (SHA-256)", str(state["hash"])),
    ]


def text(state: Mapping[str, Any]) -> str:
    """Every key in force, as YAML."""
    return yaml.safe_dump(state["configuration"], sort_keys=False, allow_unicode=True, width=100)


def verdict(said: Mapping[str, Any]) -> tuple[str, str]:
    """Of a check: a sentence and its tone."""
    if not said["valid"]:
        count = len(said["problems"])
        return f"The router cannot serve with this: {count} problem{'' if count == 1 else 's'}.", "bad"
    if said["restart"]:
        return f"Valid, after a restart of the router: {said['restart']}", "warn"
    return "Valid: the router could serve with this at once.", "good"

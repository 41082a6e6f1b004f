"""What the playground tells of one answer: who gave it, why, and how long each part took."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from router_extproc.page.shown.words import NONE, millis, number

OURS: Final = ("x-vsr-", "x-request-id", "traceparent", "age", "content-type", "x-selected-model")
"""Beginnings of the names of the header fields that are shown."""


@dataclass(frozen=True, slots=True)
class Chip:
    """`tone` is "", "good", "warn" or "bad"."""

    text: str
    tone: str
    icon: str


def chips(status: int, headers: Mapping[str, str]) -> tuple[Chip, ...]:
    """What matters most, in a few words."""
    found = [_answered(status, headers)]
    if "x-vsr-selected-category" in headers:
        found.append(Chip(headers["x-vsr-selected-category"], "", "category"))
    if "x-vsr-selected-decision" in headers:
        found.append(Chip(headers["x-vsr-selected-decision"], "", "alt_route"))
    if headers.get("x-vsr-selected-reasoning") == "on":
        found.append(Chip("thinks", "", "psychology"))
    if "x-vsr-cache-similarity" in headers:
        found.append(Chip(f"similarity {headers['x-vsr-cache-similarity']}", "", "join_inner"))
    return tuple(found)


def _answered(status: int, headers: Mapping[str, str]) -> Chip:
    model = headers.get("x-vsr-selected-model", "")
    if headers.get("x-vsr-response-path") == "blocked":
        return Chip("blocked by a guard", "bad", "gpp_bad")
    if status >= 400:
        return Chip(f"status {status}", "bad", "error_outline")
    if headers.get("x-vsr-cache-hit") == "stale":
        return Chip(f"an expired answer of {model}", "warn", "history")
    if headers.get("x-vsr-cache-hit") == "true":
        return Chip(f"from the cache, by {model}", "good", "bolt")
    return Chip(model or "no router's word", "" if model else "warn", "memory")


def timings(
    began: float | None,
    first: float | None,
    ended: float | None,
    usage: Mapping[str, Any] | None,
    headers: Mapping[str, str],
) -> list[tuple[str, str]]:
    """Milliseconds from the moment of asking. Of the cache's answers no speed is told: it says nothing of
    whose tokens they are."""
    tokens = (usage or {}).get("completion_tokens")
    rows = [
        ("Headers after", millis(began)),
        ("First text after", millis(first)),
        ("Complete after", millis(ended)),
    ]
    if isinstance(tokens, int):
        rows.append(("Tokens", f"{number((usage or {}).get('prompt_tokens'))} in, {number(tokens)} out"))
        generated = "x-vsr-cache-hit" not in headers
        if generated and first is not None and ended is not None and ended - first > 1:
            rows.append(("Speed", f"{1000 * tokens / (ended - first):,.0f} tokens/s"))
    return rows


def fields(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The header fields that say something about the answer."""
    return sorted((name, value) for name, value in headers.items() if name.startswith(OURS))


def decision(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The decision, as the header fields have it."""
    path = headers.get("x-vsr-response-path", "")
    by = {"cache": "the cache", "upstream": "a model", "blocked": "a guard"}.get(path, path or NONE)
    return [
        ("Answered by", by),
        ("Model", headers.get("x-vsr-selected-model", NONE)),
        ("Category", headers.get("x-vsr-selected-category", "none certain")),
        ("Decision", headers.get("x-vsr-selected-decision", "default rules")),
        ("Thinking", headers.get("x-vsr-selected-reasoning", "the client's own setting")),
        ("Similarity", headers.get("x-vsr-cache-similarity", NONE)),
        ("Age", f"{headers['age']} s" if "age" in headers else NONE),
    ]  # fmt: skip

"""Entries of the cache in rows, one of them whole, and how full the tiers are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router_extproc.page.shown.live import Tile
from router_extproc.page.shown.words import NONE, number, percent, since, size


@dataclass(frozen=True, slots=True)
class Row:
    """`similarity` is "" in a plain list."""

    id: str
    question: str
    category: str
    model: str
    age: str
    left: str
    similarity: str


def tiles(stats: Mapping[str, Any]) -> tuple[Tile, ...]:
    counters = stats["counters"]
    hits, misses = counters.get("hits", 0), counters.get("misses", 0)
    share = hits / (hits + misses) if hits + misses else None
    first = tuple(
        Tile(
            f"Entries, {tier['backend']}",
            number(tier["entries"]),
            _room(tier),
            "" if tier["is_up"] else "bad",
        )
        for tier in stats["tiers"][:2]
    )
    return (
        *first,
        Tile("Hit rate since the start", percent(share), f"{number(hits)} hits, {number(misses)} misses"),
        Tile("Least similarity", f"{stats['similarity_threshold']:.2f}", f"shared by {stats['scope']}"),
    )  # fmt: skip


def _room(tier: Mapping[str, Any]) -> str:
    if not tier["is_up"]:
        return "is not reached; the router's log says why"
    used = "" if tier["bytes"] is None else f"{size(tier['bytes'])} used"
    room = "" if tier["capacity"] is None else f"room for {number(tier['capacity'])}"
    return ", ".join(part for part in (used, room) if part) or "no bound of its own"


def row(entry: Mapping[str, Any], now: float, similarity: float | None = None) -> Row:
    return Row(
        id=entry["id"],
        question=entry.get("text", "") + ("…" if entry.get("text_is_cut") else ""),
        category=entry["category"] or NONE,
        model=entry["model"],
        age=since(now - entry["created_at"]),
        left=since(max(0.0, entry["expires_at"] - now)),
        similarity="" if similarity is None else f"{similarity:.3f}",
    )


def listed(said: Mapping[str, Any], now: float) -> list[Row]:
    """The newest first."""
    newest = sorted(said["entries"], key=lambda each: -each["created_at"])
    return [row(each, now) for each in newest]


def found(said: Mapping[str, Any], now: float) -> list[Row]:
    return [row(each["entry"], now, each["similarity"]) for each in said["matches"]]


def found_note(said: Mapping[str, Any]) -> str:
    more = ", and there are more" if said["more"] else ""
    return f"{number(len(said['matches']))} nearest of {number(said['compared'])} entries{more}"


def details(entry: Mapping[str, Any], now: float) -> list[tuple[str, str]]:
    answer = entry["answer"]
    usage = answer.get("usage") or {}
    tokens = usage.get("completion_tokens")
    return [
        ("Entry", entry["id"]),
        ("Model", entry["model"]),
        ("Category", entry["category"] or NONE),
        ("Thinking", "on" if entry["reasoning"] else "off"),
        ("Found", "word for word only" if entry["exact_only"] else "word for word and by meaning"),
        ("Asked", f"{since(now - entry['created_at'])} ago"),
        ("Expires", f"in {since(max(0.0, entry['expires_at'] - now))}"),
        ("Tokens", NONE if tokens is None else number(tokens)),
        ("Tenant", entry["tenant"] or NONE),
    ]


def invalidated(said: Mapping[str, Any], what: str) -> str:
    where = "" if said.get("shared", True) else " here; other replicas learn of it when the store is back"
    return f"{what} taken back{where}."

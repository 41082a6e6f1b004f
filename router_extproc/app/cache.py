"""`cache`: what the cache of a running router holds, and taking it back."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from router_extproc.app.cache_api import Api
from router_extproc.app.terminal import moment, printable, size, table
from router_extproc.base.errors import OperatorError


def stats(config: Path, *, as_json: bool) -> int:
    """How full each tier is, and what the cache has done since the router started."""
    document = Api.of(config).call("GET", "/stats")
    sys.stdout.write(_json(document) if as_json else _stats_text(document))
    return 0


def list_entries(
    config: Path, selector: Mapping[str, str], *, limit: int | None, text: bool, as_json: bool
) -> int:
    """The live entries that `selector` covers: `{}`, or one of tenant, model, category and entry."""
    query = dict(selector) | ({"text": "true"} if text else {})
    query |= {} if limit is None else {"limit": str(limit)}
    document = Api.of(config).call("GET", "/entries", query)
    sys.stdout.write(_json(document) if as_json else _list_text(document))
    return 0


def show(config: Path, entry: str, *, as_json: bool) -> int:
    """One entry, its question and its answer."""
    if not entry.isascii() or not entry.isalnum():
        raise OperatorError("an entry's id has 32 hexadecimal digits; it is in x-vsr-cache-entry of each hit")
    document = Api.of(config).call("GET", f"/entries/{entry}")
    sys.stdout.write(_json(document) if as_json else _entry_text(document))
    return 0


def invalidate(config: Path, selector: Mapping[str, str], *, dry_run: bool) -> int:
    """Take back what `selector` covers (`{}`: everything), or say how much that would be."""
    api = Api.of(config)
    wanted: dict[str, object] = dict(selector) if selector else {"all": True}
    document = api.call("POST", "/invalidate", document=wanted | ({"dry_run": True} if dry_run else {}))
    what = _selected(selector)
    if dry_run:
        more = "more than " if document["more"] else ""
        sys.stdout.write(f"{what}: {more}{document['covered']} entries; nothing was changed\n")
        return 0
    sys.stdout.write(
        f"{what}: invalidated what was asked until {moment(document['at'])}{_reach(api, document)}\n"
    )
    return 0


def flush(config: Path) -> int:
    """Take back everything."""
    api = Api.of(config)
    document = api.call("POST", "/flush")
    sys.stdout.write(
        f"everything: invalidated what was asked until {moment(document['at'])}{_reach(api, document)}\n"
    )
    return 0


def feedback(config: Path, entry: str, question: str) -> int:
    """The answer of `entry` to `question` was wrong."""
    api = Api.of(config)
    document = api.call("POST", "/feedback", document={"entry": entry, "question": question})
    pair = ", and will not answer this question again" if document["pair_blocked"] else ""
    sys.stdout.write(f"entry {entry}: invalidated{pair}{_reach(api, document)}\n")
    return 0


def _reach(api: Api, document: Mapping[str, Any]) -> str:
    if document["shared"] or api.settings.semantic_cache.backend_type == "memory":
        return ""
    return "; the store is away, so the other replicas follow when it is back"


def _selected(selector: Mapping[str, str]) -> str:
    return ", ".join(f"{kind} {printable(value)!r}" for kind, value in selector.items()) or "everything"


def _json(document: object) -> str:
    return json.dumps(document) + "\n"


def _stats_text(document: Mapping[str, Any]) -> str:
    names = ("backend", "scope", "similarity_threshold", "generation", "encoder")
    facts = "\n".join(f"{name.replace('_', ' '):22}{printable(str(document[name]))}" for name in names)
    tiers = table(
        ("TIER", "ENTRIES", "AT MOST", "SIZE", "STATE"),
        [
            (
                str(tier["backend"]),
                str(tier["entries"]),
                "-" if tier["capacity"] is None else str(tier["capacity"]),
                size(tier["bytes"]),
                "up" if tier["is_up"] else "away",
            )
            for tier in document["tiers"]
        ],
    )
    counters = "".join(
        f"{printable(name).replace('_', ' '):22}{value:g}\n" for name, value in document["counters"].items()
    )
    return f"{facts}\n\n{tiers}\n" + (f"\n{counters}" if counters else "")


def _list_text(document: Mapping[str, Any]) -> str:
    entries = document["entries"]
    if not entries:
        return "no live entry\n"
    head = ("ID", "TENANT", "MODEL", "CATEGORY", "CREATED", "EXPIRES")
    rows = [
        tuple(
            printable(cell) or "-"
            for cell in (
                entry["id"],
                entry["tenant"],
                entry["model"],
                entry["category"],
                moment(entry["created_at"]),
                moment(entry["expires_at"]),
            )
        )
        for entry in entries
    ]
    lines = table(head, rows).splitlines()
    out = [lines[0]]
    for line, entry in zip(lines[1:], entries, strict=True):
        out.append(line)
        if "text" in entry:
            out.append(f"    {printable(entry['text'])}{' ...' if entry['text_is_cut'] else ''}")
    if document["more"]:
        out.append(f"and more than these {len(entries)}; select, or raise --limit")
    return "\n".join(out) + "\n"


def _entry_text(document: Mapping[str, Any]) -> str:
    answer = document["answer"]
    facts = {
        "entry": document["id"],
        "tenant": document["tenant"],
        "partition": document["partition"],
        "model": document["model"],
        "category": document["category"] or "-",
        "reasoning": "on" if document["reasoning"] else "off",
        "found": "word for word only" if document["exact_only"] else "by meaning",
        "created": moment(document["created_at"]),
        "expires": moment(document["expires_at"]),
    }
    lines = [f"{name:11}{printable(str(value))}" for name, value in facts.items()]
    lines += ["", "question", "", printable(document["text"], lines=True)]
    for name, text in answer["extras"].items():
        lines += ["", printable(name), "", printable(text, lines=True)]
    lines += ["", "answer", "", printable(answer["content"], lines=True)]
    return "\n".join(lines) + "\n"

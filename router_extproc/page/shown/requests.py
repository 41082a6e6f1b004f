"""The record of a decision, explained: who answered, why, what each part found and how long it took."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from router_extproc.page.shown.live import Bar
from router_extproc.page.shown.words import NONE, millis, number, percent, words

STEPS: Final = (
    ("exact_lookup", "cache, word for word"),
    ("queue", "waiting for the encoder"),
    ("tokenise", "tokens"),
    ("run", "encoder"),
    ("guards", "guards"),
    ("semantic_lookup", "cache, by meaning"),
    ("verifier", "verifier"),
)

MOMENTS: Final = (
    ("decided_after", "decided after"),
    ("answered_after", "headers after"),
    ("first_piece_after", "first text after"),
    ("total", "complete after"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One request in the list. `tone` is of `outcome`."""

    id: str
    time: str
    outcome: str
    tone: str
    category: str
    model: str
    cache: str
    took: str


def rows(decisions: list[Mapping[str, Any]]) -> list[Row]:
    return [row(each) for each in decisions]


def row(record: Mapping[str, Any]) -> Row:
    outcome, tone = outcome_of(record)
    return Row(
        id=record["request_id"],
        time=time_of(record),
        outcome=outcome,
        tone=tone,
        category=record["category"] or NONE,
        model=record["model"] or NONE,
        cache=cache_word(record["cache"]),
        took=millis(record["milliseconds"]["total"]),
    )


def outcome_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Who answered, and its tone."""
    status = record["status"] or 0
    if record["cancelled"]:
        return "client left", "warn"
    if record["answered_by"] == "cache":
        return "cache", "good"
    if record["rejected"]:
        return f"refused: {words(record['rejected'])}", "bad"
    if status >= 400:
        return f"status {status}", "bad"
    return ("model", "") if record["answered_by"] == "model" else ("no answer", "warn")


def cache_word(cache: Mapping[str, Any]) -> str:
    if cache["action"] == "hit":
        similar = "" if cache["similarity"] is None else f" {cache['similarity']:.2f}"
        return words(cache["kind"] or "hit") + (similar if cache["kind"] == "semantic" else "")
    if cache["action"] == "none":
        return words(cache["skipped"][0]) if cache["skipped"] else "not asked"
    return {"queued": "miss, kept", "screening": "miss, being read"}.get(cache["action"], "miss")


def time_of(record: Mapping[str, Any]) -> str:
    """The time of day, UTC."""
    return str(record["time"])[11:19] or NONE


def summary(record: Mapping[str, Any]) -> str:
    """What happened in a sentence or two."""
    by, model = record["answered_by"], record["model"]
    if by == "cache":
        how = words(record["cache"]["kind"] or "hit")
        return f"The cache answered ({how}) with what {model} had said."
    if record["rejected"]:
        return f"The router refused it: {words(record['rejected'])}."
    if model is None:
        return "The client left before anybody answered."
    asked = record["requested"] or "auto"
    if asked != "auto":
        return f"The client asked for {asked} by name, so {model} answered."
    rule = words(record["rule"] or "")
    about = f"about {record['category']} ({percent(record['confidence'])})" if record["category"] else ""
    why = " ".join(part for part in ("The request is", about) if part) if about else "No category was certain"
    held = f"; the decision {record['decision']} held" if record["decision"] else ""
    return f"{why}{held}; {model} was chosen ({rule})."


def facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    thinking = {True: "on", False: "off", None: NONE}[record["reasoning"]]
    effort = f", {record['effort']}" if record.get("effort") else ""
    usage = record["usage"]
    tokens = (
        f"{number(usage['prompt_tokens'])} in, {number(usage['completion_tokens'])} out" if usage else NONE
    )
    return [
        ("Request", record["request_id"]),
        ("Time (UTC)", str(record["time"])),
        ("Asked for", record["requested"] or NONE),
        ("Answered by", record["answered_by"] or "nobody"),
        ("Model", record["model"] or NONE),
        ("Status", NONE if record["status"] is None else str(record["status"])),
        ("Rule", words(record["rule"] or NONE)),
        ("Decision", record["decision"] or NONE),
        ("Thinking", thinking + effort),
        ("Tokens", tokens),
        ("Configuration", str(record["generation"])),
        ("Trace", str(record["trace_id"])),
    ]  # fmt: skip


def domains(record: Mapping[str, Any]) -> tuple[Bar, ...]:
    """The likeliest categories with their probabilities."""
    found = record["facts"]
    return tuple(Bar(name, percent(share), share) for name, share in found["domain"].items()) if found else ()


def signals(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = record["facts"]
    said = found["signals"] if found else []
    return [(f"{words(each['type'])}: {each['name']}", _held(each)) for each in said]


def _held(signal: Mapping[str, Any]) -> str:
    return f"{'holds' if signal['matched'] else 'does not hold'}, {signal['score']:.2f}"


def candidates(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Who could have answered, and what became of each."""
    told = []
    for each in record["candidates"]:
        score = "" if each["score"] is None else f"score {each['score']:.2f}"
        left = ", ".join(words(reason) for reason in each["dropped"])
        chosen = "chosen" if not left and each["model"] == record["model"] else ""
        told.append(
            (each["model"], ", ".join(part for part in (chosen, score, left) if part) or "considered")
        )
    return told


def cache(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = record["cache"]
    rows = [("Outcome", cache_word(found))]
    if found["similarity"] is not None:
        rows.append(("Nearest entry", f"cosine {found['similarity']:.4f}"))
    if found["probability"] is not None:
        rows.append(("Verifier", f"{percent(found['probability'])} that both ask the same"))
    if found["missed"]:
        rows.append(("Missed", words(found["missed"])))
    rows += [("Held back", f"{words(name)} ({count})") for name, count in found["held_back"].items()]
    rows += [("Not used", words(reason)) for reason in found["skipped"]]
    if found["waited"]:
        rows.append(("Waited", words(found["waited"])))
    if found["entry"]:
        rows.append(("Entry", found["entry"]))
    return rows


def guards(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    told = []
    for each in record["guards"]:
        parts = [words(each["outcome"])]
        if each["score"] is not None:
            parts.append(f"attack {percent(each['score'])}")
        parts += [", ".join(each["types"])] if each["types"] else []
        told.append((each["guard"], "; ".join(parts)))
    return told


def steps(record: Mapping[str, Any]) -> tuple[Bar, ...]:
    """What the router spent time on."""
    taken = record["milliseconds"]
    found = [(label, taken[key]) for key, label in STEPS if taken.get(key)]
    most = max((value for _, value in found), default=0.0)
    return tuple(Bar(label, millis(value), value / most) for label, value in found)


def moments(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    taken = record["milliseconds"]
    return [(label, millis(taken[key])) for key, label in MOMENTS if taken.get(key) is not None]


def failures(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(each["port"], words(each["reason"])) for each in record["failures"]]

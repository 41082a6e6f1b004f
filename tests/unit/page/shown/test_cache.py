from typing import Any

import msgspec

from router_extproc.page.shown import cache as shown
from router_extproc.server.api.cache_shapes import CacheStats, Tier, listed
from router_extproc.server.api.cache_shapes import shown as whole
from tests.support.play import AT, entry


def stats(*tiers: Tier, **counters: float) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(
        CacheStats(
            backend="hybrid",
            scope="credential",
            similarity_threshold=0.65,
            generation="g",
            encoder="e",
            tiers=list(tiers),
            counters=counters,
        )
    )
    return told


def test_tiers_have_what_they_hold_and_what_is_wrong_with_them() -> None:
    memory = Tier(backend="memory", entries=12, bytes=2048, capacity=1000, is_up=True)
    milvus = Tier(backend="milvus", entries=0, bytes=None, capacity=None, is_up=False)
    first, second, rate, least = shown.tiles(stats(memory, milvus, hits=3.0, misses=1.0))
    assert (first.value, first.note) == ("12", "2.0 KiB used, room for 1,000")
    assert (second.tone, "not reached" in second.note) == ("bad", True)
    assert (rate.value, rate.note) == ("75 %", "3 hits, 1 misses")
    assert least.value == "0.65"


def test_entries_are_listed_the_newest_first_with_age_and_what_is_left() -> None:
    old = msgspec.to_builtins(listed(entry("p", "Old?"), text=True))
    new = old | {"id": "f" * 32, "created_at": old["created_at"] + 3, "text": "New?"}
    rows = shown.listed({"entries": [old, new]}, AT)
    assert [row.question for row in rows] == ["New?", "Old?"]
    assert rows[1].age.endswith(" s")
    assert rows[1].similarity == ""


def test_what_was_found_has_its_cosine_and_says_of_how_many() -> None:
    one = msgspec.to_builtins(listed(entry("p", "Old?"), text=True))
    said = {"matches": [{"similarity": 0.91234, "entry": one}], "compared": 1200, "more": True}
    assert shown.found(said, AT)[0].similarity == "0.912"
    assert shown.found_note(said) == "1 nearest of 1,200 entries, and there are more"


def test_one_entry_is_told_whole() -> None:
    told = dict(shown.details(msgspec.to_builtins(whole(entry("p", "Old?"))), AT))
    assert told["Found"] == "word for word and by meaning"
    assert told["Expires"].startswith("in ")


def test_what_was_taken_back_here_only_is_told_so() -> None:
    assert shown.invalidated({"shared": True}, "Entry") == "Entry taken back."
    assert "other replicas" in shown.invalidated({"shared": False}, "Entry")

"""A mark counts at once and everywhere that can be reached; what cannot be reached hears of it later."""

from collections.abc import AsyncIterator, Sequence

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Mark, Selector, pair_of
from router_extproc.ports import PortError, Tally
from router_extproc.stores.marks import MAX_MARKS, PAIR_LIFE, MarkBook
from tests.support.entries import NOW, a_partition, an_entry

HERE = a_partition("here")
LIFE = 3600.0
DOWN = PortError(Failure.UNAVAILABLE)
MODEL = Selector(Kind.MODEL, "qwen3-8b")
EVERYTHING = Selector(Kind.ALL)


class FakeEntries:
    """A tiered store of entries that lie in memory and behind."""

    def __init__(self, *entries: Entry) -> None:
        self.near = list(entries)
        self.far = list(entries)
        self.trouble: PortError | None = None
        self.removals: list[tuple[Selector, float]] = []

    async def find(self, entry_id: str, at: float) -> Entry | None:
        raise NotImplementedError

    def entries(self, selector: Selector, at: float) -> AsyncIterator[Entry]:
        raise NotImplementedError

    async def tallies(self) -> Sequence[Tally]:
        raise NotImplementedError

    async def forget(self, selector: Selector, until: float) -> int:
        kept = [each for each in self.near if not (selector.covers(each) and each.created_at <= until)]
        count, self.near = len(self.near) - len(kept), kept
        return count

    async def remove(self, selector: Selector, until: float) -> int:
        if self.trouble is not None:
            raise self.trouble
        self.removals.append((selector, until))
        kept = [each for each in self.far if not (selector.covers(each) and each.created_at <= until)]
        count, self.far = len(self.far) - len(kept), kept
        return count


class FakeMarks:
    """What replicas share."""

    def __init__(self) -> None:
        self.rows: dict[str, Mark] = {}
        self.trouble: PortError | None = None

    async def load_marks(self, at: float) -> Sequence[Mark]:
        if self.trouble is not None:
            raise self.trouble
        return [mark for mark in self.rows.values() if at < mark.expires_at]

    async def add_mark(self, mark: Mark) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.rows[mark.id] = mark


async def test_a_mark_is_in_force_at_once_whatever_the_stores_do() -> None:
    old, new = an_entry(HERE, "old", created_at=NOW - 1), an_entry(HERE, "new", created_at=NOW + 1)
    entries, shared = FakeEntries(old, new), FakeMarks()
    entries.trouble = shared.trouble = DOWN
    book = MarkBook(entries, shared)
    assert not await book.add(MODEL, NOW, LIFE)
    assert book.current.revokes(old)
    assert not book.current.revokes(new)
    assert entries.near == [old, new]  # deleting takes its time, and is the sweep's


async def test_a_mark_reaches_the_other_replicas() -> None:
    shared, entry = FakeMarks(), an_entry(HERE, created_at=NOW - 1)
    ours, theirs = MarkBook(FakeEntries(), shared), MarkBook(FakeEntries(), shared)
    assert await ours.add(MODEL, NOW, LIFE)
    assert not theirs.current.revokes(entry)
    await theirs.refresh(NOW + 1)
    assert theirs.current.revokes(entry)


async def test_what_could_not_be_shared_is_shared_later() -> None:
    shared = FakeMarks()
    book = MarkBook(FakeEntries(), shared)
    shared.trouble = DOWN
    assert not await book.add(MODEL, NOW, LIFE)
    with pytest.raises(PortError):
        await book.refresh(NOW + 1)
    assert (book.unshared, len(book)) == (1, 1)
    shared.trouble = None
    await book.refresh(NOW + 2)
    assert book.unshared == 0
    assert [mark.selector for mark in shared.rows.values()] == [MODEL]


async def test_a_shared_store_that_lost_its_marks_gets_them_back() -> None:
    shared = FakeMarks()
    book = MarkBook(FakeEntries(), shared)
    await book.add(MODEL, NOW, LIFE)
    shared.rows.clear()
    await book.refresh(NOW + 1)
    assert [mark.at for mark in shared.rows.values()] == [NOW]


async def test_an_earlier_mark_that_arrives_later_weakens_nothing() -> None:
    """Two replicas mark the same thing; the one whose clock is behind writes last."""
    shared = FakeMarks()
    book = MarkBook(FakeEntries(), shared)
    await book.add(MODEL, NOW, LIFE)
    await shared.add_mark(Mark(MODEL, NOW - 5, NOW + 9 * LIFE))
    await book.refresh(NOW + 1)
    assert book.current.at[MODEL] == NOW
    [row] = shared.rows.values()
    assert (row.at, row.expires_at) == (NOW, NOW + 9 * LIFE)


async def test_failing_to_refresh_leaves_the_marks_in_force() -> None:
    shared, entry = FakeMarks(), an_entry(HERE, created_at=NOW - 1)
    book = MarkBook(FakeEntries(), shared)
    await book.add(MODEL, NOW, LIFE)
    shared.trouble = DOWN
    with pytest.raises(PortError):
        await book.refresh(NOW + 1)
    assert book.current.revokes(entry)


@pytest.mark.parametrize("shared", [None, FakeMarks()])
async def test_a_mark_is_forgotten_when_all_it_covers_has_expired(shared: FakeMarks | None) -> None:
    book = MarkBook(FakeEntries(), shared)
    await book.add(MODEL, NOW, LIFE)
    await book.refresh(NOW + LIFE - 1)
    assert len(book) == 1
    await book.refresh(NOW + LIFE)
    assert (len(book), book.current.at) == (0, {})


async def test_a_pair_is_remembered_for_thirty_days_whatever_the_life_of_an_entry() -> None:
    pair, entry = Selector(Kind.PAIR, pair_of("0f", "1a")), an_entry(HERE)
    entries = FakeEntries(entry)
    book = MarkBook(entries, None)
    await book.add(pair, NOW, LIFE)
    await book.refresh(NOW + PAIR_LIFE - 1)
    assert pair in book.current.at
    assert await book.sweep(NOW) == 0
    assert entries.near == entries.far == [entry]
    assert entries.removals == []
    await book.refresh(NOW + PAIR_LIFE)
    assert pair not in book.current.at
    assert PAIR_LIFE == 30 * 24 * 3600


async def test_without_a_shared_store_a_mark_is_this_process_s() -> None:
    book = MarkBook(FakeEntries(), None)
    assert not await book.add(MODEL, NOW, LIFE)
    assert book.unshared == 0


async def test_sweeping_deletes_what_every_mark_covers_once() -> None:
    shared = FakeMarks()
    entries = FakeEntries(an_entry(HERE, "a", created_at=NOW - 1), an_entry(HERE, "b", created_at=NOW + 1))
    book = MarkBook(entries, shared)
    other = Selector(Kind.CATEGORY, "law")
    await shared.add_mark(Mark(other, NOW - 3, NOW + LIFE))
    await book.add(MODEL, NOW, LIFE)
    await book.refresh(NOW + 1)
    assert await book.sweep(NOW + 1) == 1
    assert [each.text for each in entries.far] == ["b"]
    assert sorted(entries.removals, key=lambda each: each[1]) == [(other, NOW - 3), (MODEL, NOW)]
    assert await book.sweep(NOW + 2) == 0
    assert len(entries.removals) == 2


async def test_a_later_mark_of_the_same_selector_is_swept_again() -> None:
    entries = FakeEntries(an_entry(HERE, created_at=NOW + 1))
    book = MarkBook(entries, None)
    for at, removed in ((NOW, 0), (NOW + 1, 1)):
        await book.add(MODEL, at, LIFE)
        assert await book.sweep(at) == removed


async def test_a_sweep_that_failed_goes_on_where_it_failed() -> None:
    entries = FakeEntries(an_entry(HERE, created_at=NOW - 1))
    book = MarkBook(entries, None)
    await book.add(MODEL, NOW, LIFE)
    entries.trouble = DOWN
    with pytest.raises(PortError):
        await book.sweep(NOW)
    entries.trouble = None
    assert await book.sweep(NOW) == 1


async def test_marks_are_bounded_and_the_way_out_is_told_and_open() -> None:
    shared = FakeMarks()
    for number in range(MAX_MARKS - 1000):
        await shared.add_mark(Mark(Selector(Kind.ENTRY, f"{number:032x}"), NOW, NOW + LIFE))
    book = MarkBook(FakeEntries(), shared)
    await book.refresh(NOW)
    for narrow in (Selector(Kind.ENTRY, "0f"), Selector(Kind.PAIR, pair_of("0f", "1a"))):
        with pytest.raises(PortError, match="wider selector") as raised:
            await book.add(narrow, NOW, LIFE)
        assert raised.value.reason is Failure.OVERLOADED
    await book.add(Selector(Kind.ENTRY, "0" * 32), NOW + 1, LIFE)  # known already: takes no room
    await book.add(MODEL, NOW, LIFE)
    await book.add(EVERYTHING, NOW + 2, LIFE)
    assert len(book) == 1


async def test_a_mark_on_everything_takes_the_place_of_those_it_implies_only() -> None:
    book = MarkBook(FakeEntries(), None)
    pair = Selector(Kind.PAIR, pair_of("0f", "1a"))
    later, longer = Selector(Kind.MODEL, "later"), Selector(Kind.MODEL, "longer")
    await book.add(MODEL, NOW, LIFE)
    await book.add(pair, NOW, LIFE)
    await book.add(later, NOW + 9, LIFE)
    await book.add(longer, NOW, 3 * LIFE)
    await book.add(EVERYTHING, NOW + 1, LIFE)
    assert set(book.current.at) == {pair, later, longer, EVERYTHING}


async def test_a_wrong_answer_stays_wrong_when_everything_is_taken_back() -> None:
    """The question and the entry have the same ids when the same wrong answer is stored again."""
    book = MarkBook(FakeEntries(), None)
    pair = Selector(Kind.PAIR, pair_of("0f", "1a"))
    await book.add(pair, NOW, LIFE)
    await book.add(EVERYTHING, NOW + 1, 2 * PAIR_LIFE)
    assert pair in book.current.at


@pytest.mark.parametrize("value", ["x" * 513, "\ud800"])
async def test_a_value_no_entry_can_have_is_invalid_and_not_kept(value: str) -> None:
    book = MarkBook(FakeEntries(), FakeMarks())
    with pytest.raises(PortError) as raised:
        await book.add(Selector(Kind.MODEL, value), NOW, LIFE)
    assert raised.value.reason is Failure.INVALID
    assert len(book) == 0


async def test_until_the_others_marks_are_known_nothing_older_answers() -> None:
    old, new = an_entry(HERE, "old", created_at=NOW - 1), an_entry(HERE, "new", created_at=NOW + 1)
    shared = FakeMarks()
    book = MarkBook(FakeEntries(old, new), shared)
    book.distrust(NOW)
    assert book.current.revokes(old)
    assert not book.current.revokes(new)
    assert await book.sweep(NOW) == 0
    await book.refresh(NOW + 2)
    assert not book.current.revokes(old)


async def test_when_marks_are_too_many_the_oldest_pair_makes_room() -> None:
    shared = FakeMarks()
    for number in range(MAX_MARKS - 1_000):
        await shared.add_mark(Mark(Selector(Kind.PAIR, f"{number}:e"), NOW + number, NOW + 1e6))
    book = MarkBook(FakeEntries(), shared)
    await book.refresh(NOW)
    await book.add(Selector(Kind.ENTRY, "f"), NOW, LIFE)
    assert Selector(Kind.ENTRY, "f") in book.current.at
    assert Selector(Kind.PAIR, "0:e") not in book.current.at
    assert Selector(Kind.PAIR, "1:e") in book.current.at

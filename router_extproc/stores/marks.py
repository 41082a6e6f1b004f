"""The marks in force: what was taken back here or in another replica, and must not be served any more.

Owns the current `Marks` and what is left to do about them: sharing them through a `MarkStore`, deleting what
they cover. A lookup only ever reads `current`, so a mark counts from the moment it is added, whatever the
stores are doing. Knows no clock: times are arguments, in Unix seconds.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from router_extproc.base.refusals import Failure
from router_extproc.caching.marks import Kind, Mark, Marks, Selector
from router_extproc.ports import Catalogue, MarkStore, PortError
from router_extproc.stores.codec import MARK_VALUE_BYTES, utf8

_LOG = logging.getLogger(__name__)

PAIR_LIFE = 30 * 86_400.0
"""Seconds for which a wrong answer is remembered. The entry it was is gone sooner, but the same question and
entry have the same ids when the answer is stored again."""

MAX_MARKS = 10_000
"""3 MB, and one page of a listing."""
_ROOM_FOR_WIDE = 1_000
"""Of these, kept for marks that cover more than one entry: they are the way out when there are too many."""

_SHARED_AT_ONCE = 100
_SWEPT_AT_ONCE = 100


class Marked(Catalogue, Protocol):
    """A store whose entries are marked."""

    async def forget(self, selector: Selector, until: float) -> int:
        """Like `remove`, in this process's memory only, without asking anybody."""
        ...


class MarkBook:
    """`shared`, where there is one, keeps the marks for other replicas and later processes."""

    def __init__(self, store: Marked, shared: MarkStore | None) -> None:
        self._store = store
        self._shared = shared
        self._marks: dict[Selector, Mark] = {}
        self._shared_at: dict[Selector, float] = {}
        """The times of the marks that `shared` is known to have."""
        self._swept_at: dict[Selector, float] = {}
        self._distrusted: Mark | None = None
        self._current = Marks()

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def current(self) -> Marks:
        """What is in force now. A new object whenever that changes."""
        return self._current

    def distrust(self, at: float) -> None:
        """Until the others' marks are known, by the first `refresh` that succeeds, nothing created at `at` or
        before answers: what was taken back of it is not known. Deletes nothing."""
        self._distrusted = Mark(Selector(Kind.ALL), at, float("inf"))
        self._publish()

    @property
    def unshared(self) -> int:
        """Marks that other replicas do not know of yet."""
        return len(self._to_share()) if self._shared is not None else 0

    async def add(self, selector: Selector, at: float, life: float) -> bool:
        """Take back what `selector` covers and was created at `at` or before. In force when this is called;
        `sweep` deletes it later.

        `life`: seconds from `at` after which all of it has expired; a pair has a life of its own. True when
        every replica will know; False when this process alone does: `refresh` tries to share it again.
        PortError(OVERLOADED) when there are too many; PortError(INVALID) for a value no entry can have.
        """
        if len(utf8(selector.value)) > MARK_VALUE_BYTES:
            raise PortError(Failure.INVALID, f"a value of more than {MARK_VALUE_BYTES} bytes")
        self._check_room(selector)
        life = PAIR_LIFE if selector.kind is Kind.PAIR else life
        self._take([Mark(selector, at, at + life)], at)
        if selector.kind is Kind.ENTRY:
            await self._store.forget(selector, at)
        # The mark on everything may have made this one superfluous.
        mark = self._marks.get(selector, self._marks.get(Selector(Kind.ALL)))
        return mark is None or await self._share(mark)

    async def refresh(self, at: float) -> None:
        """Forget marks that expired, take over the other replicas', and share those they lack. PortError when
        they cannot be loaded: then those known stay in force."""
        self._take([], at)
        if self._shared is None:
            return
        loaded = await self._shared.load_marks(at)
        if self._distrusted is not None:
            self._distrusted = None
            self._publish()
        self._shared_at = {mark.selector: mark.at for mark in loaded}
        self._take(loaded, at)
        for mark in self._to_share()[:_SHARED_AT_ONCE]:
            if not await self._share(mark):
                break

    async def sweep(self, at: float) -> int:
        """Delete what the marks in force at `at` cover, some marks at a time, each once in this process; how
        many entries. What was on its way to a store may arrive later: the mark keeps it from answering.
        PortError when a store fails: that mark and the rest are left to the next call."""
        waiting = [
            mark
            for mark in self._marks.values()
            if at < mark.expires_at
            and mark.selector.kind is not Kind.PAIR
            and self._swept_at.get(mark.selector, float("-inf")) < mark.at
        ]
        removed = 0
        for mark in waiting[:_SWEPT_AT_ONCE]:
            removed += await self._store.remove(mark.selector, mark.at)
            self._swept_at[mark.selector] = mark.at
            await asyncio.sleep(0)  # a store in memory never waits; others' requests come in between
        return removed

    async def _share(self, mark: Mark) -> bool:
        """Whether the other replicas know it now."""
        if self._shared is None:
            return False
        try:
            await self._shared.add_mark(mark)
        except PortError as error:
            _LOG.warning("a mark is known to this replica only, for now: %s", error)
            return False
        self._shared_at[mark.selector] = mark.at
        return True

    def _to_share(self) -> list[Mark]:
        return [
            mark
            for mark in self._marks.values()
            if self._shared_at.get(mark.selector, float("-inf")) < mark.at
        ]

    def _take(self, marks: Iterable[Mark], at: float) -> None:
        """Merge `marks` into the current ones and forget what expired. A mark never becomes weaker."""
        merged = dict(self._marks)
        for mark in marks:
            held = merged.get(mark.selector, mark)
            merged[mark.selector] = Mark(
                mark.selector, max(mark.at, held.at), max(mark.expires_at, held.expires_at)
            )
        everything = merged.get(Selector(Kind.ALL))
        kept = {
            selector: mark
            for selector, mark in merged.items()
            if at < mark.expires_at and not _is_implied(mark, everything)
        }
        if kept == self._marks:
            return
        self._marks = kept
        self._shared_at = {each: when for each, when in self._shared_at.items() if each in kept}
        self._swept_at = {each: when for each, when in self._swept_at.items() if each in kept}
        self._publish()

    def _publish(self) -> None:
        known = self._marks.values()
        self._current = Marks.of(known if self._distrusted is None else (*known, self._distrusted))

    def _check_room(self, selector: Selector) -> None:
        is_narrow = selector.kind in (Kind.ENTRY, Kind.PAIR)
        room = MAX_MARKS - _ROOM_FOR_WIDE if is_narrow else MAX_MARKS
        if selector.kind is Kind.ALL or selector in self._marks or len(self._marks) < room:
            return
        pairs = [mark for mark in self._marks.values() if mark.selector.kind is Kind.PAIR]
        if pairs:  # they live longest and cover least
            del self._marks[min(pairs, key=lambda mark: mark.at).selector]
            return
        raise PortError(
            Failure.OVERLOADED,
            f"{len(self._marks)} marks are in force: use a wider selector, such as a category, a model, a "
            "tenant or all",
        )


def _is_implied(mark: Mark, everything: Mark | None) -> bool:
    """Whether the mark on everything says what this one says, for as long."""
    if everything is None or mark.selector.kind in (Kind.ALL, Kind.PAIR):
        return False
    return mark.at <= everything.at and mark.expires_at <= everything.expires_at

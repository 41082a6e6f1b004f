from dataclasses import replace

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector
from router_extproc.ports import PortError
from router_extproc.server.api.reading import Reader
from router_extproc.server.api.search import MOST_COMPARED, SearchReply, SearchRequest, search_routes
from router_extproc.server.pool import Pool
from router_extproc.server.replies import Code, RefusedError
from tests.support.cache_api import Cache
from tests.support.entries import NOW, a_vector, an_entry, between, new_partition
from tests.support.play import PLAN, analysis
from tests.support.ports import FakeAnalyst, Trouble

ASKED, OTHER = a_vector(1), a_vector(2)


def near(cosine: float, **changes: object) -> Entry:
    """An entry whose question has this cosine with what is asked."""
    vector: Vector = between(ASKED, OTHER, cosine)
    return replace(an_entry(new_partition(), f"at {cosine}", vector=vector), **changes)  # type: ignore[arg-type]


async def found(
    cache: Cache, limit: int = 20, trouble: Trouble = None, most_compared: int = MOST_COMPARED
) -> SearchReply:
    analyst = FakeAnalyst(lambda _: replace(analysis(), vector=ASKED), trouble=trouble)
    reader = Reader(analyst, lambda: PLAN, Pool(), cache.clock)
    [route] = search_routes(cache.admin, reader, most_compared)
    assert route.handle is not None
    said = await route.handle(SearchRequest(text="about?", limit=limit))
    assert isinstance(said, SearchReply)
    return said


async def test_the_nearest_come_first_whoever_asked_and_however_far() -> None:
    cache = Cache()
    for cosine in (0.2, 0.9, 0.5):
        await cache.store.put(near(cosine))
    said = await found(cache)
    assert [each.similarity for each in said.matches] == pytest.approx([0.9, 0.5, 0.2], abs=1e-4)
    assert [each.entry.text for each in said.matches] == ["at 0.9", "at 0.5", "at 0.2"]
    assert (said.compared, said.more) == (3, False)


async def test_as_many_as_are_wanted() -> None:
    cache = Cache()
    for cosine in (0.1, 0.2, 0.3, 0.4, 0.5):
        await cache.store.put(near(cosine))
    said = await found(cache, limit=2)
    assert [each.entry.text for each in said.matches] == ["at 0.5", "at 0.4"]
    assert said.compared == 5


async def test_equals_are_both_found() -> None:
    cache = Cache()
    await cache.store.put(near(0.7))
    await cache.store.put(near(0.7))
    assert len((await found(cache)).matches) == 2


async def test_what_was_taken_back_is_not_found() -> None:
    cache = Cache()
    gone, stays = near(0.9), near(0.4)
    await cache.store.put(gone)
    await cache.store.put(stays)
    await cache.marks.add(Selector(Kind.ENTRY, gone.id), NOW + 1, 3600.0)
    said = await found(cache)
    assert [each.entry.id for each in said.matches] == [stays.id]


async def test_a_search_ends_at_its_bound_and_says_so() -> None:
    cache = Cache()
    for cosine in (0.1, 0.2, 0.3):
        await cache.store.put(near(cosine))
    said = await found(cache, most_compared=2)
    assert (said.compared, said.more, len(said.matches)) == (2, True, 2)


async def test_a_store_or_an_encoder_that_fails_is_told() -> None:
    with pytest.raises(RefusedError) as raised:
        await found(Cache(trouble=PortError(Failure.UNAVAILABLE)))
    assert raised.value.code is Code.STORE_UNAVAILABLE
    with pytest.raises(RefusedError) as raised:
        await found(Cache(), trouble=PortError(Failure.OVERLOADED))
    assert raised.value.code is Code.OVERLOADED


async def test_without_a_cache_it_says_so() -> None:
    clock = Cache().clock
    [route] = search_routes(None, Reader(FakeAnalyst(), lambda: PLAN, Pool(), clock))
    assert route.handle is not None
    with pytest.raises(RefusedError) as raised:
        await route.handle(SearchRequest(text="about?"))
    assert raised.value.code is Code.CACHE_DISABLED

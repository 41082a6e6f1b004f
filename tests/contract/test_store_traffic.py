"""A Milvus that dies or slows down under traffic costs answers from the cache, never a caller."""

import asyncio
import dataclasses
import itertools
import logging
import time

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.ports import PortError
from router_extproc.stores.options import MilvusOptions, Server
from router_extproc.stores.tiered import TieredStore
from tests.support.backends import impatient, new_front, opened
from tests.support.entries import NOW, a_vector, an_entry, new_partition
from tests.support.milvus import MilvusServer
from tests.support.processes import wait_until
from tests.support.slow_link import SlowLink


class Traffic:
    """Requests that look up and write without a pause, each with a deadline of its own. What they see is an
    answer or a PortError, in time; anything else ends the test."""

    WITHIN = 0.3
    LATE = 0.3
    """Seconds that a busy machine may be late."""

    def __init__(self, store: TieredStore, known: Entry) -> None:
        self._store = store
        self._known = known
        self.answered = 0
        self.failed = 0
        self.slowest = 0.0
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(3)]

    async def _ask(self, number: int) -> None:
        partition = self._known.partition
        for turn in itertools.count():
            began = time.monotonic()
            try:
                assert await self._store.get(partition, self._known.id, NOW, self.WITHIN) is not None
                await self._store.get(partition, f"{number:08x}{turn:024x}", NOW, self.WITHIN)
                await self._store.nearest(partition, -self._known.vector, 4, NOW, self.WITHIN)
                self.answered += 1
            except PortError:
                self.failed += 1
            # Two calls ask Milvus, each for at most its time.
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


async def test_a_server_that_dies_under_traffic_fails_no_caller_and_is_taken_up_again_by_itself(
    server_options: MilvusOptions, milvus_server: MilvusServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "router_extproc")
    known = an_entry(new_partition())
    async with opened(impatient(server_options)) as back:
        store = TieredStore(new_front(), back, exclusive=False, similar_enough=0.85)
        await store.put(known)
        traffic = Traffic(store, known)

        async def is_down() -> bool:
            return not back.is_up

        async def is_back() -> bool:
            return back.is_up and traffic.answered > answered

        async def has_begun() -> bool:
            return traffic.answered > 3

        await wait_until(has_begun, "the first answers", deadline=20)
        try:
            await asyncio.to_thread(milvus_server.kill)
            await wait_until(is_down, "the breaker to open", deadline=20)
            failed, answered = traffic.failed, traffic.answered
            assert "keeps failing: going on without it" in caplog.text
        finally:
            if milvus_server.process is None:
                await asyncio.to_thread(milvus_server.start)
        await wait_until(is_back, "traffic to be answered again", deadline=60)
        await traffic.stop()
        assert failed > 0
        assert "is back" in caplog.text
        assert traffic.slowest < 2 * Traffic.WITHIN + Traffic.LATE


async def test_over_a_slow_link_the_front_answers_in_time_and_the_rest_is_a_timeout(
    server_options: MilvusOptions, milvus_server: MilvusServer
) -> None:
    near, far = an_entry(new_partition(), "near"), a_vector(9)
    async with SlowLink(milvus_server.host, milvus_server.port).running() as link:
        assert isinstance(server_options.target, Server)
        target = dataclasses.replace(server_options.target, port=link.port)
        options = dataclasses.replace(
            server_options, target=target, consistency="Bounded", call_timeout=2.0, failures_to_open=2
        )
        async with opened(options) as back:
            store = TieredStore(new_front(), back, exclusive=False, similar_enough=0.85)
            await store.put(near)
            link.delay = 0.6
            began = time.monotonic()
            found = await store.nearest(near.partition, near.vector, 4, NOW, 0.5)
            assert [each.entry.id for each in found] == [near.id]
            assert time.monotonic() - began < 0.5
            for _ in range(8):
                with pytest.raises(PortError) as raised:
                    await store.nearest(near.partition, far, 4, NOW, 0.1)
                assert raised.value.reason is Failure.TIMEOUT
            assert back.is_up  # so little time says nothing of the server
            assert len(await store.nearest(near.partition, far, 4, NOW, 20.0)) == 1
            link.delay = 5.0
            for _ in range(options.failures_to_open):
                with pytest.raises(PortError):
                    await store.nearest(near.partition, far, 4, NOW, 20.0)
            assert not back.is_up

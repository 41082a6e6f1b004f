"""Attacks behind more text than the guards can read in time, through a real Envoy, with the real guard."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.guarded import ATTACK, Counted, unsent, user
from tests.support.routing import RoutedPool, routed

pytestmark = pytest.mark.asyncio(loop_scope="module")

PADDING = "The parcel is late, and the cat is on the mat. " * 2_000
"""Some 20,000 tokens: seconds of the encoder's time."""

CHANGES: dict[str, Any] = {
    "prompt_guard": {"enabled": True, "on_error": "allow"},
    "screening": {"max_tokens": 40_000},
    "encoder": {"timeout_ms": 1500},
    "semantic_cache": {"coalesce_timeout_ms": 500},
    "simulator": None,
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    async with routed(tmp_path_factory.mktemp("padded"), CHANGES) as opened:
        yield opened


@pytest.mark.parametrize(
    "messages",
    [[user(ATTACK + PADDING)], [user(PADDING + ATTACK)], [user(PADDING), user(ATTACK)]],
    ids=["before the padding", "behind it", "after a turn of it"],
)
async def test_padding_gets_no_attack_past_a_guard_that_may_fail(
    pool: RoutedPool, messages: list[dict[str, Any]]
) -> None:
    answer = await unsent(pool, messages)
    assert answer.headers["x-vsr-jailbreak-blocked"] == "true"


async def test_a_long_text_that_is_no_attack_passes_and_is_counted_as_read_in_part(
    pool: RoutedPool,
) -> None:
    async with Counted(pool, "guard", "error_allowed"):
        answer = await pool.chat([user(PADDING)])
    assert answer.status == 200
    assert "x-vsr-jailbreak-blocked" not in answer.headers

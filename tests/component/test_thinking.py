"""Thinking that goes by the uncertainty about the category: a real Envoy, the real encoder, and an upstream
that records what reaches it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.routing import RoutedPool, decision, keyword, leaf, routed, rule

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCIENCE = "Estimate the energy needed to split water."
PEOPLE = "Why do people queue?"
SETTLED = f"{SCIENCE} Be brief."
OPEN = f"{SCIENCE} Be thorough."

CHANGES: dict[str, Any] = {
    # No prompt here is that sure, so none has a category and the sides are told apart by their sums.
    "classifier": {"category_model": {"threshold": 0.999}},
    "entropy_reasoning": {"enabled": True, "very_high": "vote"},
    "simulator": None,
    "signals": {"keywords": [keyword("brief", "brief"), keyword("thorough", "thorough")]},
    "decisions": [
        decision(
            "brief", rule("OR", leaf("keyword", "brief")), {"model": "qwen3-8b", "use_reasoning": False}
        ),
        decision("thorough", rule("OR", leaf("keyword", "thorough")), "qwen3-8b"),
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    async with routed(tmp_path_factory.mktemp("thinking"), CHANGES) as running:
        yield running


async def evaluated(pool: RoutedPool, text: str) -> dict[str, Any]:
    status, document = await pool.api(
        "POST", "/api/v1/eval", {"model": "auto", "messages": [{"role": "user", "content": text}]}
    )
    assert status == 200
    found: dict[str, Any] = document
    return found


@pytest.mark.parametrize(
    ("text", "thinks", "applied"),
    [
        pytest.param(SCIENCE, True, True, id="between-categories-that-think"),
        pytest.param(PEOPLE, False, True, id="among-those-that-do-not"),
        pytest.param(SETTLED, False, False, id="a-decision-that-says-off"),
        pytest.param(OPEN, True, True, id="a-decision-that-says-nothing"),
    ],
)
async def test_thinking_goes_by_the_uncertainty_unless_a_decision_says_otherwise(
    pool: RoutedPool, text: str, thinks: bool, applied: bool
) -> None:
    answer, request = await pool.sent(text)
    assert request.json()["chat_template_kwargs"] == {"enable_thinking": thinks}
    assert answer.headers["x-vsr-selected-reasoning"] == ("on" if thinks else "off")
    said = await evaluated(pool, text)
    assert said["reasoning"] == ("on" if thinks else "off")
    doubt = said["trace"]["uncertainty"]
    assert doubt["applied"] is applied
    assert doubt["reasoning"] is (doubt["share"] >= 0.5)


async def test_what_the_client_sets_itself_stays(pool: RoutedPool) -> None:
    mine = {"enable_thinking": False}
    answer, request = await pool.sent(SCIENCE, chat_template_kwargs=mine)
    assert request.json()["chat_template_kwargs"] == mine
    assert "x-vsr-selected-reasoning" not in answer.headers


async def test_the_decisions_are_counted(pool: RoutedPool) -> None:
    await pool.sent(SCIENCE)
    port = pool.configuration.settings.listeners.metrics.port
    async with pool.session.get(f"http://127.0.0.1:{port}/metrics") as response:
        text = await response.text()
    lines = [
        line for line in text.splitlines() if line.startswith("llm_entropy_classification_decisions_total{")
    ]
    assert any('reasoning_enabled="true"' in line for line in lines)

"""What `/metrics` says after requests through a real Envoy: what answers took and cost, and hits saved."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from router_extproc.llm.render import render_sse
from tests.support.gateway import COMPLETION, Gateway, answered, gateway, question
from tests.support.processes import wait_until
from tests.support.series import BY_SERIES
from tests.support.upstream import sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNTED = render_sse(COMPLETION, "chatcmpl-up", 1, include_usage=True)
ASKED = question("Solve x^2 = 31 for the record.")
STREAMED = question("Solve x^2 = 37 for the record, slowly.", stream=True)
MODEL = 'model="qwen3-32b"'


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path_factory.mktemp("metrics")) as opened:
        yield opened


async def test_what_answers_took_and_cost_and_what_a_hit_spared_is_exposed(gate: Gateway) -> None:
    gate.upstream.script(answered(), sse_answer(COUNTED[:60], COUNTED[60:]))
    assert (await gate.ask(ASKED)).headers["x-vsr-selected-model"] == "qwen3-32b"
    assert (await gate.ask(STREAMED)).headers["x-vsr-selected-model"] == "qwen3-32b"
    await gate.hit(ASKED)

    async def measured() -> dict[str, float] | None:
        found = await gate.metrics()
        whole = found.get(f"llm_model_tokens_total{{{MODEL}}}") == 28
        return found if whole and found["router_event_loop_lag_seconds_count"] else None

    found = await wait_until(measured, "two answers of fourteen tokens each, and a look at the loop", 10.0)
    assert found is not None
    spent = (2 * 9 * 0.40 + 2 * 5 * 1.20) / 1e6
    assert found[f'llm_model_cost_total{{currency="USD",{MODEL}}}'] == pytest.approx(spent)
    assert found[f"llm_model_ttft_seconds_count{{{MODEL}}}"] == 2
    assert found[f"llm_model_completion_latency_seconds_count{{{MODEL}}}"] == 2
    assert found[f"llm_model_tpot_seconds_count{{{MODEL}}}"] == 2
    assert found[f'router_cache_saved_tokens_total{{kind="completion",{MODEL}}}'] == 5
    assert found[f'router_cache_saved_cost_total{{currency="USD",{MODEL}}}'] == pytest.approx(spent / 2)
    assert found['router_stage_seconds_count{stage="encode"}'] >= 2
    assert found['llm_category_classifications_count{category="math"}'] >= 2
    assert found["router_encoder_batch_size_count"] >= 2
    assert found[f"llm_model_inflight_requests{{{MODEL}}}"] == 0
    assert found[f"router_model_up{{{MODEL}}}"] == 1
    assert found["router_configuration_generation"] == 1
    assert sum(1 for name in found if name.startswith("router_configuration_info{")) == 1


async def test_everything_that_is_exposed_is_in_the_table(gate: Gateway) -> None:
    """But for the times of creation that the client library adds."""
    names = {sample.partition("{")[0] for sample in await gate.metrics()}
    assert {name for name in names if not name.endswith("_created")} <= set(BY_SERIES)

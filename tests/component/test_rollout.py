"""Routers restarted, and their configuration changed, under load and behind one real Envoy: no client notices,
and every request is routed."""

from pathlib import Path
from typing import Any

from tests.support.rollout import crowd, fleet
from tests.support.routed import document, question, shared_mind
from tests.support.tuned import TunedModel

RESTARTS = 10
DRAIN_SECONDS = 1.5
CACHE: dict[str, Any] = {"enabled": True, "backend_type": "memory", "verifier": {"enabled": False}}


def asked(number: int) -> tuple[str, dict[str, Any]]:
    """Of four requests one was asked before and one more is; half are streams; one has a slow model."""
    stream = number % 2 == 0
    word = "stream" if stream else "plain"
    match number % 8:
        case 0 | 3 | 5:
            text = f"what is asked again and again {number % 8}"
            return word, question(text, stream=stream, temperature=0, max_tokens=400)
        case 6:
            return "slow stream", question(f"take your time {number}", stream=True) | {"model": "slow"}
        case _:
            return word, question(f"never asked before {number}", stream=stream)


async def test_ten_restarts_under_load_lose_nothing(tmp_path: Path) -> None:
    async with TunedModel("fast") as fast, TunedModel("slow", seconds=0.4) as slow:
        more = {
            "semantic_cache": CACHE,
            "shutdown": {"drain_seconds": DRAIN_SECONDS, "grace_seconds": 10.0},
        }
        pool = {"fast": fast.port, "slow": slow.port}
        documents = [document(pool, **more) for _ in range(2)]
        async with (
            fleet(documents, tmp_path, shared_mind()) as routers,
            crowd(routers.envoy.url, asked) as clients,
        ):
            await clients.more(50)
            for turn in range(RESTARTS):
                leaving = routers.replicas[turn % 2]
                await leaving.end()
                await clients.more(5)
                leaving.start()
                await routers.healthy(2)
                await clients.more(10)
            stat = routers.envoy.stat
            refused = {
                name: await stat(f"cluster.ext_proc.{name}")
                for name in (
                    "upstream_cx_connect_fail",
                    "upstream_rq_retry",
                    "upstream_rq_pending_failure_eject",
                )
            }
            passed = await stat("http.router.ext_proc.failure_mode_allowed")
    assert clients.failures == []
    # Envoy had turned away each time before anything was refused: no retry had to mend it.
    assert (passed, refused) == (0, dict.fromkeys(refused, 0))
    assert set(clients.kinds) == {
        "plain, hit", "plain, miss", "stream, hit", "stream, miss", "slow stream, miss",
    }  # fmt: skip

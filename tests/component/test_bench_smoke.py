"""The benchmarks that need a stack still run: a few requests of each, through real processes."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.soak import soak
from bench.soak_stack import running

ROOT = Path(__file__).parents[2]
SECONDS = 4.0


async def test_a_short_soak_sees_every_request_end_as_it_should(tmp_path: Path) -> None:
    async with running(tmp_path, "memory") as stack:
        first = stack.failing.process.pid
        await stack.restart_failing()
        assert stack.failing.process.pid != first
        report = await soak(stack, SECONDS, rate=None)
    assert report.tally.requests > 20
    assert report.tally.unexpected() == {}
    assert report.samples[-1].streams == 0
    assert report.samples[-1].requests == report.tally.requests
    assert json.loads(json.dumps(report.as_json()))["requests"] == report.tally.requests


async def test_a_soak_of_a_router_that_went_away_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, "memory") as stack:
        stack.router.process.kill()
        await stack.router.process.wait()
        with pytest.raises(ExceptionGroup):
            await soak(stack, SECONDS, rate=None)


def test_the_proxies_are_measured_side_by_side() -> None:
    command = [sys.executable, "-m", "bench", "proxy", "--json", "--requests", "40"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    measures = {each["measure"]: each["value"] for each in json.loads(done.stdout)}
    assert any("exact hit" in name for name in measures), sorted(measures)
    # An added latency may be below zero on a noisy machine; a missing one is not a number.
    assert all(math.isfinite(value) for value in measures.values())

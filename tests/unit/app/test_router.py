"""What the router does about its parts, where it needs none of them running."""

import logging

import pytest

from router_extproc.app.router import HeadFailures
from router_extproc.telemetry.metrics import Metrics


def test_each_failure_of_a_head_is_counted_and_the_first_one_logged(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    failures = HeadFailures(metrics)
    with caplog.at_level(logging.ERROR):
        for head in ("language", "language", "tone"):
            failures(head, ValueError("what the client wrote"))
    lines = metrics.exposition().decode().splitlines()
    assert 'router_head_failures_total{head="language"} 2.0' in lines
    assert [record.getMessage().split(" at ")[0] for record in caplog.records] == [
        "bug: ValueError in the head language",
        "bug: ValueError in the head tone",
    ]
    assert "client" not in caplog.text

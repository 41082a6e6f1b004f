import pytest
from pydantic import ValidationError

from router_extproc.settings.observability_schema import Observability, TraceSettings


def test_traces_are_off_and_records_on_by_default() -> None:
    given = Observability()
    assert not given.tracing.enabled
    assert given.decision_log
    assert given.debug_token_file is None
    assert (given.log_level, given.log_format) == ("info", "json")


@pytest.mark.parametrize(
    "endpoint", ["jaeger:4317", "127.0.0.1:4317", "[::1]:4317", "otel-collector.observability.svc:65535"]
)
def test_a_collector_s_address_is_a_host_and_a_port(endpoint: str) -> None:
    assert TraceSettings.model_validate({"exporter": {"endpoint": endpoint}}).exporter.endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    ["http://jaeger:4317", "jaeger", "jaeger:0", "jaeger:65536", "jaeger:4318/v1/traces", "", ":4317"],
)
def test_another_address_is_refused_with_the_cure(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="HOST:PORT"):
        TraceSettings.model_validate({"exporter": {"endpoint": endpoint}})


@pytest.mark.parametrize(
    ("sampling", "ratio"),
    [
        ({}, 1.0),
        ({"type": "always_on", "rate": 0.1}, 1.0),
        ({"type": "always_off"}, 0.0),
        ({"type": "probabilistic", "rate": 0.25}, 0.25),
    ],
)
def test_a_share_of_traces_is_kept(sampling: dict[str, object], ratio: float) -> None:
    assert TraceSettings.model_validate({"sampling": sampling}).sampling.ratio == ratio


def test_a_share_that_is_missing_is_asked_for() -> None:
    with pytest.raises(ValidationError, match="needs `rate`"):
        TraceSettings.model_validate({"sampling": {"type": "probabilistic"}})


@pytest.mark.parametrize(
    "tracing",
    [
        {"provider": "openinference"},
        {"exporter": {"type": "jaeger"}},
        {"sampling": {"rate": 1.5}},
        {"resource": {"service_name": ""}},
        {"more": 1},
    ],
)
def test_what_would_do_nothing_is_refused(tracing: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TraceSettings.model_validate(tracing)

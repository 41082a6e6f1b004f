from router_extproc.simulator.generation import Channel, Choice, Generation
from router_extproc.simulator.metrics import ServerMetrics

NAMES = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:request_success_total",
    "vllm:time_to_first_token_seconds",
    "vllm:time_per_output_token_seconds",
    "vllm:e2e_request_latency_seconds",
}


def value(metrics: ServerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"model_name": "m", **labels})


def test_every_metric_has_vllms_name() -> None:
    text = ServerMetrics("m").render().decode()
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} >= NAMES


def test_a_completed_request_is_counted_by_reason_and_time() -> None:
    metrics = ServerMetrics("m")
    tokens: tuple[tuple[Channel, str], ...] = (("content", "a"), ("content", "b"), ("content", "c"))
    metrics.first_token(0.5, prompt_tokens=7)
    for _ in tokens:
        metrics.token_step(1)
    metrics.completed(Generation((Choice(tokens, "length"),), 7), first=0.5, last=0.9)
    assert value(metrics, "vllm:prompt_tokens_total") == 7
    assert value(metrics, "vllm:generation_tokens_total") == 3
    assert value(metrics, "vllm:request_success_total", finished_reason="length") == 1
    assert value(metrics, "vllm:time_to_first_token_seconds_sum") == 0.5
    assert value(metrics, "vllm:e2e_request_latency_seconds_sum") == 0.9
    per_token = value(metrics, "vllm:time_per_output_token_seconds_sum")
    assert per_token is not None
    assert abs(per_token - 0.2) < 1e-9


def test_two_servers_do_not_share_metrics() -> None:
    one, two = ServerMetrics("m"), ServerMetrics("m")
    one.finished("abort")
    assert value(two, "vllm:request_success_total", finished_reason="abort") is None

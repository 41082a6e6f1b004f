"""The server's Prometheus metrics, by vLLM's names, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from router_extproc.simulator.generation import Generation

FIRST_TOKEN_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TOKEN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
REQUEST_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0)


class ServerMetrics:
    """Metrics of one simulated server; every one has the label `model_name`."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._model = model
        self.running = self._gauge("vllm:num_requests_running", "Requests being generated.")
        self.waiting = self._gauge("vllm:num_requests_waiting", "Requests waiting for a slot.")
        self._prompt_tokens = self._counter("vllm:prompt_tokens", "Prompt tokens processed.")
        self._generation_tokens = self._counter("vllm:generation_tokens", "Tokens generated.")
        self._finished = Counter(
            "vllm:request_success",
            "Requests that ended, by reason.",
            ["model_name", "finished_reason"],
            registry=self.registry,
        )
        self._first_token = self._histogram(
            "vllm:time_to_first_token_seconds", "Arrival to first token.", FIRST_TOKEN_BUCKETS
        )
        self._per_token = self._histogram(
            "vllm:time_per_output_token_seconds", "Mean time between tokens.", TOKEN_BUCKETS
        )
        self._request = self._histogram(
            "vllm:e2e_request_latency_seconds", "Arrival to last token.", REQUEST_BUCKETS
        )

    def first_token(self, seconds: float, prompt_tokens: int) -> None:
        """`seconds` after the request's arrival, the prompt has been processed."""
        self._first_token.observe(seconds)
        self._prompt_tokens.inc(prompt_tokens)

    def token_step(self, tokens: int) -> None:
        self._generation_tokens.inc(tokens)

    def completed(self, generation: Generation, first: float, last: float) -> None:
        """`first` and `last` token, in seconds after the request's arrival."""
        self._request.observe(last)
        self._per_token.observe((last - first) / max(1, generation.steps - 1))
        for choice in generation.choices:
            self.finished(choice.finish_reason)

    def finished(self, reason: str) -> None:
        self._finished.labels(self._model, reason).inc()

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, ["model_name"], registry=self.registry).labels(self._model)

    def _counter(self, name: str, documentation: str) -> Counter:
        return Counter(name, documentation, ["model_name"], registry=self.registry).labels(self._model)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        metric = Histogram(name, documentation, ["model_name"], registry=self.registry, buckets=buckets)
        return metric.labels(self._model)

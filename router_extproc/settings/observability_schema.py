"""What may stand in `observability`: logs, records of decisions, traces.

`tracing` has vLLM Semantic Router's keys, so a configuration written for it is read as it is.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from router_extproc.settings.strict import Share, Strict

ENDPOINT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def _endpoint(text: object) -> object:
    if not isinstance(text, str):
        return text
    found = ENDPOINT.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise PydanticCustomError(
            "endpoint",
            "a collector's address is HOST:PORT, without http:// and without a path; spans go there by gRPC, "
            "which collectors take on port 4317",
        )
    return text


Endpoint = Annotated[str, BeforeValidator(_endpoint)]
Attribute = Annotated[str, Field(min_length=1, max_length=256)]


class Exporter(Strict):
    """`otlp`: to the collector at `endpoint`, over TLS unless `insecure`. `stdout`: into the router's log."""

    type: Literal["otlp", "stdout"] = "otlp"
    endpoint: Endpoint = "localhost:4317"
    insecure: bool = False


class Sampling(Strict):
    """Of traces that begin here; what a caller says in `traceparent` stands. `rate` goes with
    `probabilistic`."""

    type: Literal["always_on", "always_off", "probabilistic"] = "always_on"
    rate: Share | None = None

    @model_validator(mode="after")
    def _rated(self) -> "Sampling":
        if self.type == "probabilistic" and self.rate is None:
            raise PydanticCustomError(
                "rate", "`probabilistic` needs `rate`, the share of traces to keep; 0.1 keeps every tenth"
            )
        return self

    @property
    def ratio(self) -> float:
        if self.type == "probabilistic" and self.rate is not None:
            return self.rate
        return 1.0 if self.type == "always_on" else 0.0


class Service(Strict):
    """What the service is called in traces: OpenTelemetry's `service.name`, `service.version` and
    `deployment.environment.name`. The version is the router's where none is given."""

    service_name: Attribute = "router-extproc"
    service_version: Attribute | None = None
    deployment_environment: Attribute | None = None


class TraceSettings(Strict):
    """Off by default."""

    enabled: bool = False
    provider: Literal["opentelemetry"] = "opentelemetry"
    exporter: Exporter = Exporter()
    sampling: Sampling = Sampling()
    resource: Service = Service()


class Observability(Strict):
    """`decision_log`: a record of each decision, at level info. `decisions_kept`: of how many the API shows
    the records, from memory. `debug_token_file`, relative to the configuration, holds the word that lets a
    client have one request's trace logged, by the header `x-router-debug`; it is written with a fresh word
    when it is not there."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    decision_log: bool = True
    decisions_kept: Annotated[int, Field(ge=0, le=1000)] = 500
    debug_token_file: str | None = None
    tracing: TraceSettings = TraceSettings()

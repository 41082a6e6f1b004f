"""The servers and models of the pool: `vllm_endpoints`, `model_config`, `upstream`, `reasoning_families`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from router_extproc.settings.guard_schema import ModelPolicy
from router_extproc.settings.strict import Host, Name, Port, Share, Strict, Variable


class EndpointTls(Strict):
    """TLS to an endpoint. The server's certificate is always verified: against `ca_file`, else the system's
    authorities; `server_name` is SNI and the name that the certificate must have, by default the address."""

    enabled: bool = True
    ca_file: str | None = None
    server_name: Host | None = None


class ApiKey(Strict):
    """Sent as `Authorization: Bearer KEY` in place of the client's own. From the environment variable `env`
    of the process that renders Envoy's configuration, or the file `file`, which Envoy reads and watches."""

    env: Variable | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "ApiKey":
        if (self.env is None) == (self.file is None):
            raise ValueError("give either `env` or `file`")
        return self


class HealthCheck(Strict):
    """Envoy asks each endpoint for `path` every `interval_seconds`."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=512)] = "/health"
    interval_seconds: Annotated[float, Field(gt=0, le=300)] = 5.0
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0


class Endpoint(Strict):
    """One server of the pool, by host name or address. `weight` shares a model's requests among its
    endpoints. `path_prefix` replaces `/v1` for providers that serve the API elsewhere."""

    name: Name
    address: Host
    port: Port
    weight: PositiveInt = 1
    tls: EndpointTls | None = None
    path_prefix: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=512)] | None = None


class Upstream(Strict):
    """How long Envoy waits for a model's servers, and how often it tries again. `connect_timeout_seconds` is
    for the connection with its TLS handshake (by default 2, with TLS 5), `idle_timeout_seconds` between two
    bytes of a request or its answer (600), `request_timeout_seconds` for the whole of both (by default not
    limited). `retries` (2) counts attempts after the first, none of which follows once a server may have
    begun to generate; 0 is none."""

    connect_timeout_seconds: Annotated[float, Field(ge=0.01, le=300)] | None = None
    idle_timeout_seconds: Annotated[float, Field(ge=0.1, le=86_400)] | None = None
    request_timeout_seconds: Annotated[float, Field(ge=0.1, le=86_400)] | None = None
    retries: Annotated[int, Field(ge=0, le=10)] | None = None


class Pricing(Strict):
    """A model's price, per million tokens: what `multi_factor` and `adaptive` weigh as cost."""

    currency: str = "USD"
    prompt_per_1m: Annotated[float, Field(ge=0)]
    completion_per_1m: Annotated[float, Field(ge=0)]


class Lora(Strict):
    """An adapter that the model's servers have loaded under this name."""

    name: Name
    description: str = ""


class Model(Strict):
    """One model of the pool, by the name its servers know it under. `context_window` in tokens; without it a
    request of any length may be sent there. `capabilities` says what else the model can do than text. What
    `upstream` does not have here is as for all models."""

    preferred_endpoints: Annotated[list[Name], Field(min_length=1)]
    reasoning_family: str | None = None
    pii_policy: ModelPolicy | None = None
    pricing: Pricing | None = None
    quality: Share = 0.5
    context_window: PositiveInt | None = None
    capabilities: list[Literal["vision", "tools"]] = ["tools"]
    loras: list[Lora] = []
    api_key: ApiKey | None = None
    health_check: HealthCheck | None = None
    upstream: Upstream = Upstream()


class ReasoningFamily(Strict):
    """How a family's thinking is switched: a boolean in `chat_template_kwargs`, or `reasoning_effort`."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: Annotated[str, Field(min_length=1, max_length=128)]

"""The runtime plan of one configuration generation: immutable, taken once per stream."""

from dataclasses import dataclass, field

from router_extproc.caching.policy import CachePolicy
from router_extproc.exchange.tracing import NO_TRACING, Tracing
from router_extproc.llm.chat import MAX_VALUES
from router_extproc.routing.compiled import RoutingPolicy
from router_extproc.routing.tools import ToolBox
from router_extproc.screening.policy import ScreeningPolicy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`generation` is a digest of everything that decides routing; `encoder` the identity of the vectors.

    `aliases` are the model names that mean "choose for me", `listed` the names that `GET /v1/models` shows.
    `tools` are what tool selection chooses from. `session_header` names a conversation, where its client
    does. `learns`: the models' performance is measured, so every answer is watched. `max_body_bytes` and
    `max_body_values` bound a request body; `analysis_timeout` is in seconds. `screening` is what the guards
    let pass. `tracing` says which requests are traced.
    """

    generation: str
    encoder: str
    aliases: frozenset[str]
    routing: RoutingPolicy
    cache: CachePolicy
    max_body_bytes: int
    analysis_timeout: float
    max_body_values: int = MAX_VALUES
    listed: tuple[str, ...] = ()
    tools: ToolBox | None = None
    session_header: str = "x-session-id"
    learns: bool = False
    screening: ScreeningPolicy = field(default_factory=ScreeningPolicy)
    tracing: Tracing = NO_TRACING

    def is_model(self, name: str) -> bool:
        """Whether the pool has a model, or an adapter of one, of this name."""
        return self.routing.knows(name)

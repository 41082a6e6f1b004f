"""The runtime plan of one configuration generation: immutable, taken once per stream."""

from dataclasses import dataclass

from router_extproc.caching.policy import CachePolicy
from router_extproc.routing.decide import RoutingPolicy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`generation` is a digest of everything that decides routing; `encoder` the identity of the vectors.

    `aliases` are the model names that mean "choose for me". `max_body_bytes` bounds a request body;
    `analysis_timeout` is in seconds.
    """

    generation: str
    encoder: str
    aliases: frozenset[str]
    routing: RoutingPolicy
    cache: CachePolicy
    max_body_bytes: int
    analysis_timeout: float

    def is_model(self, name: str) -> bool:
        """Whether the pool has a model of this name."""
        return name in self.routing.families

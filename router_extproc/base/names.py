"""Header names that clients, Envoy and upstreams see. One constant each: the wire is a contract.

The names and value formats are those of vLLM Semantic Router, whose clients and dashboards read them.
"""

SELECTED_MODEL = "x-selected-model"
"""To Envoy and upstream: the pool's name of the chosen model. Envoy's routes match on it."""

VSR_CATEGORY = "x-vsr-selected-category"
"""To the client: one of the 14 domains. Absent when no domain was confident enough."""

VSR_REASONING = "x-vsr-selected-reasoning"
"""To the client: `on` or `off`."""

VSR_MODEL = "x-vsr-selected-model"
"""To the client: the model that answered, or whose answer the cache replays."""

VSR_CACHE_HIT = "x-vsr-cache-hit"
"""To the client: `true` on an answer from the cache, otherwise absent."""

VSR_DESTINATION = "x-vsr-destination-endpoint"
"""Used by older routers of this family to name an upstream address. Never set here, always stripped:
a client that could set it would choose the address Envoy connects to."""

INTERNAL = (SELECTED_MODEL, VSR_CATEGORY, VSR_REASONING, VSR_MODEL, VSR_CACHE_HIT, VSR_DESTINATION)
"""Never accepted from a client: they carry this router's own decisions."""

SECRETS = ("authorization", "x-api-key", "api-key")
"""Request fields that carry a client's secret. Without one there is no tenant, and no cache."""

ACCOUNTS = ("openai-organization", "openai-project")
"""Request fields that tell accounts of one secret apart. Anybody may send them: alone they prove nothing."""

AUTH_SCHEMES = frozenset({"basic", "bearer", "digest", "negotiate", "token"})
"""An authorization that is only one of these words carries no secret (RFC 9110, section 11.6.2)."""

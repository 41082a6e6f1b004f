"""Header names that clients, Envoy and upstreams see. One constant each: the wire is a contract.

The names and value formats are those of vLLM Semantic Router, whose clients and dashboards read them.
"""

SELECTED_MODEL = "x-selected-model"
"""To Envoy and upstream: the pool's name of the chosen model. Envoy's routes match on it."""

VSR_CATEGORY = "x-vsr-selected-category"
"""To the client: one of the 14 domains. Absent when no domain was confident enough."""

VSR_DECISION = "x-vsr-selected-decision"
"""To the client: the name of the configuration's decision that matched. Absent where none did."""

VSR_INJECTED = "x-vsr-injected-system-prompt"
"""To the client: `true` when the decision's system prompt went into the request, else `false`. Absent on an
answer from the cache."""

VSR_REASONING = "x-vsr-selected-reasoning"
"""To the client: `on` or `off`."""

VSR_MODEL = "x-vsr-selected-model"
"""To the client: the model that answered, or whose answer the cache replays."""

VSR_CACHE_HIT = "x-vsr-cache-hit"
"""To the client: `true` on an answer from the cache, `stale` on an expired one that stands in for a failing
model, otherwise absent."""

VSR_CACHE_SIMILARITY = "x-vsr-cache-similarity"
"""To the client: the cosine of an answer found by meaning, four decimals."""

VSR_CACHE_ENTRY = "x-vsr-cache-entry"
"""To the client: the id of the entry that answered; operators show, invalidate and mark it by this id."""

VSR_CACHE_QUESTION = "x-vsr-cache-question"
"""To the client: the id of the question it asked. With the entry's id it names a hit, for feedback."""

VSR_RESPONSE_PATH = "x-vsr-response-path"
"""To the client: `cache` or `upstream`, or `blocked` on the refusal of a guard."""

VSR_JAILBREAK_BLOCKED = "x-vsr-jailbreak-blocked"
"""To the client: `true` where the request was refused as an attack, otherwise absent."""

VSR_JAILBREAK_TYPE = "x-vsr-jailbreak-type"
"""To the client, beside the former: the label of what was found."""

VSR_JAILBREAK_CONFIDENCE = "x-vsr-jailbreak-confidence"
"""To the client, beside the former: its probability, three decimals."""

VSR_PII_VIOLATION = "x-vsr-pii-violation"
"""To the client: `true` where no model that may answer may see the request's personal data, else absent."""

VSR_PII_TYPES = "x-vsr-pii-types"
"""To the client, beside the former: the types of personal data that stand in the way, separated by commas."""

VSR_CACHE_CONTROL = "x-vsr-cache-control"
"""From the client: `no-cache`, `no-store`, `bypass`, `max-age=N`, `ttl=N`, separated by commas. It can only
make the cache do less. Not passed on."""

DEBUG = "x-router-debug"
"""From the client: the word that has the router log the trace of this one request. Not passed on: it is a
secret."""

VSR_DESTINATION = "x-vsr-destination-endpoint"
"""Used by older routers of this family to name an upstream address. Never set here, always stripped:
a client that could set it would choose the address Envoy connects to."""

DESTINATIONS = ("x-gateway-destination-endpoint", "x-envoy-original-dst-host")
"""By these an Envoy with a cluster of type ORIGINAL_DST is told an address to connect to: the first is the
Gateway API inference extension's, the second Envoy's default. The clusters rendered here look at neither;
clients may not hand them on to an Envoy behind this one. Filters after the first may set them, so the router
leaves them alone."""

INTERNAL = (
    SELECTED_MODEL,
    VSR_CATEGORY,
    VSR_DECISION,
    VSR_INJECTED,
    VSR_REASONING,
    VSR_MODEL,
    VSR_CACHE_HIT,
    VSR_CACHE_SIMILARITY,
    VSR_CACHE_ENTRY,
    VSR_CACHE_QUESTION,
    VSR_RESPONSE_PATH,
    VSR_JAILBREAK_BLOCKED,
    VSR_JAILBREAK_TYPE,
    VSR_JAILBREAK_CONFIDENCE,
    VSR_PII_VIOLATION,
    VSR_PII_TYPES,
    VSR_DESTINATION,
)
"""Never accepted from a client: they carry this router's own decisions."""

FOR_ROUTER = (VSR_CACHE_CONTROL, DEBUG)
"""What clients tell the router, and nobody behind it."""

SECRETS = ("authorization", "x-api-key", "api-key")
"""Request fields that carry a client's secret. Without one there is no tenant, and no cache."""

ACCOUNTS = ("openai-organization", "openai-project")
"""Request fields that tell accounts of one secret apart. Anybody may send them: alone they prove nothing."""

AUTH_SCHEMES = frozenset({"basic", "bearer", "digest", "negotiate", "token"})
"""An authorization that is only one of these words carries no secret (RFC 9110, section 11.6.2)."""

AUTO = "auto"
"""What a client calls the router's own choice of a model, whatever alias it wrote."""

EXT_PROC_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
"""The gRPC service by its full name, under which Envoy asks for the router's health."""

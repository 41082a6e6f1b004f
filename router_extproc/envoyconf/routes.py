"""The routes of a topology: one per model, by the header that the router sets, and a default."""

from datetime import timedelta

from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts import v3 as previous_hosts
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Any

from router_extproc.base.names import SELECTED_MODEL
from router_extproc.envoyconf.clusters import model_cluster
from router_extproc.envoyconf.topology import Topology

IDLE_TIMEOUT = timedelta(minutes=10)
"""Between two bytes of a stream: above the longest silence of a thinking model behind a full queue."""

RETRY_ON = "connect-failure,refused-stream"
"""Both mean that the server has not seen the request: no completion is ever generated (and paid) twice."""


def routes(topology: Topology) -> route.RouteConfiguration:
    """Routes are tried in order. The last one serves what is not for the router to decide, and the day
    on which the router is away: the default model's servers then see the client's own `model`, so
    they should know the name `auto` too (vLLM: `--served-model-name NAME auto`)."""
    by_model = [_model_route(model) for model in topology.models]
    default = route.Route(
        name="default",
        match=route.RouteMatch(prefix="/"),
        route=_action(topology.default_model),
    )
    everything = route.VirtualHost(
        name="all", domains=["*"], routes=[*by_model, default], retry_policy=_retry_policy()
    )
    return route.RouteConfiguration(name="models", virtual_hosts=[everything])


def _model_route(model: str) -> route.Route:
    selected = route.HeaderMatcher(name=SELECTED_MODEL, string_match=matcher.StringMatcher(exact=model))
    return route.Route(
        name=model_cluster(model),
        match=route.RouteMatch(prefix="/", headers=[selected]),
        route=_action(model),
    )


def _action(model: str) -> route.RouteAction:
    return route.RouteAction(
        cluster=model_cluster(model),
        # The default of 15 s counts the whole answer; a stream may take minutes, and only silence is a fault.
        timeout=timedelta(0),
        idle_timeout=IDLE_TIMEOUT,
    )


def _retry_policy() -> route.RetryPolicy:
    elsewhere = route.RetryPolicyRetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=Any.pack(previous_hosts.PreviousHostsPredicate()),
    )
    return route.RetryPolicy(
        retry_on=RETRY_ON,
        num_retries=2,
        retry_host_predicate=[elsewhere],
        host_selection_retry_max_attempts=5,
    )

"""The routes of a topology: each model's by the header that the router sets, and a default."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts import v3 as previous_hosts
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Any

from router_extproc.base.names import SELECTED_MODEL
from router_extproc.envoyconf.away import bound
from router_extproc.envoyconf.clusters import model_cluster
from router_extproc.envoyconf.topology import Model, Topology

ROUTE_CONFIGURATION = "models"

DEFAULT = "default"
"""What the names of the routes begin with that no model was selected for."""

UNSEEN = ("connect-failure", "refused-stream", "reset-before-request")
"""Failures in which the server has not seen the request: no completion is ever generated (and paid) twice."""

UNAVAILABLE = 503
"""A server's own word that it did not do the work; the only answer for which another server is asked."""

RESELECTIONS = 100
"""How often Envoy looks for a server that was not tried yet: with unequal weights the rotation may name the
tried one many times in a row."""

API_ROOT = "/v1/"
"""What a provider's `path_prefix` stands in place of."""

PUBLIC = (("POST", "/v1/chat/completions"), ("POST", "/v1/completions"), ("POST", "/v1/embeddings"))
"""What a client may ask of a provider in our name besides the list of models, where the router does not
decide: the same key opens stored files, batches and other people's stored answers."""

NOT_SERVED = "This path is not served here."


def routes(topology: Topology, clusters: Mapping[str, str]) -> route.RouteConfiguration:
    """`clusters` maps each model to the name of its cluster. Routes are tried in order. The last ones serve
    what is not for the router to decide, and the day on which the router is away: the default model's servers
    then see the client's own `model`, so they should know the name `auto` too (vLLM:
    `--served-model-name NAME auto`)."""
    selected = [
        each
        for name, model in topology.models.items()
        for each in _routes_of(model_cluster(name), model, clusters[name], [_is(SELECTED_MODEL, name)])
    ]
    default = topology.models[topology.default_model]
    cluster = clusters[topology.default_model]
    rest = _public_routes(default, cluster) if default.api_key else _routes_of(DEFAULT, default, cluster, [])
    unjudged = bound(rest, topology.away, topology.unread_paths)
    everything = route.VirtualHost(name="all", domains=["*"], routes=[*selected, *unjudged])
    return route.RouteConfiguration(name=ROUTE_CONFIGURATION, virtual_hosts=[everything])


def _routes_of(
    name: str, model: Model, cluster: str, headers: list[route.HeaderMatcher]
) -> Iterator[route.Route]:
    if model.path_prefix is not None:
        inside = route.RouteMatch(prefix=API_ROOT, headers=headers)
        yield route.Route(name=name, match=inside, route=_action(model, cluster, _rewritten(model)))
    match = route.RouteMatch(prefix="/", headers=headers)
    yield route.Route(name=name, match=match, route=_action(model, cluster))


def _public_routes(model: Model, cluster: str) -> Iterator[route.Route]:
    for method, path in PUBLIC:
        match = route.RouteMatch(path=path, headers=[_is(":method", method)])
        yield _exact_route(path, match, model, cluster)
    listing = route.RouteMatch(path="/v1/models", headers=[_is(":method", "GET")])
    yield _exact_route("/v1/models", listing, model, cluster)
    refusal = route.DirectResponseAction(status=404, body=core.DataSource(inline_string=NOT_SERVED))
    yield route.Route(name=DEFAULT, match=route.RouteMatch(prefix="/"), direct_response=refusal)


def _exact_route(path: str, match: route.RouteMatch, model: Model, cluster: str) -> route.Route:
    """Envoy replaces what was matched: here the whole path."""
    root = _rewritten(model)
    rewrite = "" if root is None else root + path.removeprefix(API_ROOT)
    return route.Route(name=f"{DEFAULT} {path}", match=match, route=_action(model, cluster, rewrite))


def _rewritten(model: Model) -> str | None:
    return None if model.path_prefix is None else model.path_prefix.rstrip("/") + "/"


def _is(header: str, value: str) -> route.HeaderMatcher:
    return route.HeaderMatcher(name=header, string_match=matcher.StringMatcher(exact=value))


def _action(model: Model, cluster: str, rewrite: str | None = None) -> route.RouteAction:
    return route.RouteAction(
        cluster=cluster,
        prefix_rewrite=rewrite or "",
        # A server with a name may serve several and tell them apart by it. Others see the client's own.
        auto_host_rewrite=True if model.is_named else None,
        # The default of 15 s counts the whole answer; a stream may take minutes, and only silence is a fault.
        timeout=timedelta(seconds=model.upstream.request_timeout or 0),
        idle_timeout=timedelta(seconds=model.upstream.idle_timeout),
        retry_policy=_retry_policy(len(model.endpoints), model.upstream.retries),
    )


def _retry_policy(endpoints: int, retries: int) -> route.RetryPolicy | None:
    """A lone server that is overloaded is not asked again: there is nobody else to ask. Of several, each is
    asked once."""
    if retries == 0:
        return None
    elsewhere = route.RetryPolicyRetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=Any.pack(previous_hosts.PreviousHostsPredicate()),
    )
    others = endpoints > 1
    return route.RetryPolicy(
        retry_on=",".join((*UNSEEN, "retriable-status-codes") if others else UNSEEN),
        retriable_status_codes=[UNAVAILABLE] if others else [],
        num_retries=min(retries, endpoints - 1) if others else retries,
        retry_host_predicate=[elsewhere],
        host_selection_retry_max_attempts=RESELECTIONS if others else 5,
    )

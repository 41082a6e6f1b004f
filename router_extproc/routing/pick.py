"""From the models that may answer to the order in which they are asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from router_extproc.routing.compiled import Listing, RoutingPolicy
from router_extproc.routing.facts import Facts
from router_extproc.routing.policy import Route
from router_extproc.routing.reasons import Adjusted, Dropped
from router_extproc.routing.select import select
from router_extproc.routing.session import Stay, stay
from router_extproc.routing.suitability import without
from router_extproc.routing.trace import CandidateTrace, SelectionTrace
from router_extproc.routing.world import World


@dataclass(frozen=True, slots=True)
class Pick:
    """`order` has places in the list: the chosen one, then those to turn to if it fails. It is empty where no
    candidate suits the request. `candidates` are traced in the order of the list."""

    order: tuple[int, ...]
    candidates: tuple[CandidateTrace, ...]
    selection: SelectionTrace | None = None
    adjusted: tuple[Adjusted, ...] = ()


def pick(
    policy: RoutingPolicy,
    listing: Listing,
    facts: Facts,
    world: World,
    barred: frozenset[str] = frozenset(),
) -> Pick:
    """Candidates that lack something are never in the order, nor are models that are `barred` from what the
    request holds. Behind those that the session and the selection
    want come those that the session would leave, those below the least quality, and last, as written, those
    that are left alone after failures; where all are, the first of them answers."""
    routes = listing.candidates
    dropped = [without(policy.models[route.model], facts, barred=route.model in barred) for route in routes]
    suited = [place for place in range(len(routes)) if not dropped[place]]
    if not suited:
        return Pick((), traced(routes, dropped))
    usable = [place for place in suited if world.of(routes[place].model).available]
    spare = [place for place in suited if place not in usable]
    for place in spare:
        dropped[place] = (Dropped.UNAVAILABLE,)
    if not usable:
        return Pick(tuple(suited), traced(routes, dropped), adjusted=(Adjusted.NONE_AVAILABLE,))
    selection = select(listing.algorithm, [routes[place] for place in usable], world)
    ranked = [usable[index] for index in selection.order]
    worse = [place for place in usable if place not in ranked]
    for place in worse:
        dropped[place] = (Dropped.QUALITY,)
    worthy = [place for place in suited if place not in worse]
    kept = stay(policy.session, world.session_model, policy.models, routes, worthy, ranked)
    aside = [place for place in ranked if place not in kept.allowed]
    for place in aside:
        dropped[place] = (Dropped.SESSION,)
    order = (*(place for place in ranked if place in kept.allowed), *aside, *worse, *spare)
    return Pick(
        order,
        traced(routes, dropped, dict(zip(usable, selection.scores, strict=True))),
        SelectionTrace(
            listing.algorithm.name, selection.reason, selection.explored and order[0] == ranked[0]
        ),
        _adjusted(policy, world, kept, routes[order[0]]),
    )


def _adjusted(policy: RoutingPolicy, world: World, kept: Stay, chosen: Route) -> tuple[Adjusted, ...]:
    if kept.adjusted is not None:
        return (kept.adjusted,)
    if not policy.session.remembers or world.session_model is None:
        return ()
    return (Adjusted.SESSION_KEPT if chosen.model == world.session_model else Adjusted.SESSION_RAISED,)


def traced(
    routes: Sequence[Route], dropped: Sequence[tuple[Dropped, ...]], scores: dict[int, float] | None = None
) -> tuple[CandidateTrace, ...]:
    """`dropped` by place; `scores` of the places that the selection saw."""
    return tuple(
        CandidateTrace(
            model=route.model,
            adapter=route.adapter,
            reasoning=route.reasoning,
            quality=route.quality,
            cost=route.cost,
            score=(scores or {}).get(place),
            dropped=dropped[place],
        )
        for place, route in enumerate(routes)
    )

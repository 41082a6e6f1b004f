"""What becomes of requests that the router does not judge: which of the default routes lead nowhere.

The filter always fails open (`failure_mode_allow`), because a filter that fails closed would also cut off
answers under way when a router dies, and could not change while Envoy runs. A guarded pool is closed by its
routes instead: a request that nobody has judged has no `x-selected-model`, and no route to a server. So it
does not matter how the router failed.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from router_extproc.base.paths import CHAT_PATH, READS
from router_extproc.envoyconf.topology import Away

UNJUDGED = "The router that must see this request first does not answer. Try again."
UNJUDGED_STATUS = 503
"""No model has seen the request, and a client may try again."""


def bound(routes: Iterable[route.Route], away: Away, unread_paths: Sequence[str]) -> Iterator[route.Route]:
    """`routes`, each in the parts that `away` makes of it. The first part that matches is the right one."""
    for each in routes:
        if away is Away.PASS or each.direct_response is not None:
            yield each
        elif away is Away.REFUSE_CHAT:
            yield from (_closed(_only(each, _paths([CHAT_PATH]))), each)
        else:
            if unread_paths:
                yield _only(each, _paths(unread_paths))
            yield from _guarded(each)


def _guarded(each: route.Route) -> Iterator[route.Route]:
    method = _method_of(each)
    if method is None:
        yield _without_upgrade(_only(each, _methods(READS)))
    yield _without_upgrade(each) if method in READS else _closed(each)


def _closed(each: route.Route) -> route.Route:
    """Refuses what came here unjudged."""
    body = core.DataSource(inline_string=UNJUDGED)
    refusal = route.DirectResponseAction(status=UNJUDGED_STATUS, body=body)
    return route.Route(name=each.name, match=each.match, direct_response=refusal)


def _without_upgrade(each: route.Route) -> route.Route:
    """A websocket's content passes no filter."""
    changed = copy.deepcopy(each)
    if changed.route is not None:
        changed.route.upgrade_configs = [
            route.RouteActionUpgradeConfig(upgrade_type="websocket", enabled=False)
        ]
    return changed


def _only(each: route.Route, more: route.HeaderMatcher) -> route.Route:
    changed = copy.deepcopy(each)
    if changed.match is not None:
        changed.match.headers = [*changed.match.headers, more]
    return changed


def _paths(paths: Sequence[str]) -> route.HeaderMatcher:
    """The pseudo-header has the query too."""
    return _matches(":path", f"({'|'.join(map(re.escape, paths))})([?#].*)?")


def _methods(methods: Sequence[str]) -> route.HeaderMatcher:
    return _matches(":method", "|".join(methods))


def _matches(header: str, expression: str) -> route.HeaderMatcher:
    """The whole value (RE2)."""
    regex = matcher.RegexMatcher(regex=expression)
    return route.HeaderMatcher(name=header, string_match=matcher.StringMatcher(safe_regex=regex))


def _method_of(each: route.Route) -> str | None:
    matched = [] if each.match is None else each.match.headers
    found = (one.string_match.exact for one in matched if one.name == ":method" and one.string_match)
    return next(found, None)

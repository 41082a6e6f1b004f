"""What becomes of requests that the router does not judge: which of the default routes refuse them.

A route, not the filter, says so, because routes can change while Envoy runs: a guard that is switched on then
closes the pool in the same moment. A request is bound by the route that it has before the router answers, so
only the default ones matter. Knows nothing of where a route leads.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence

from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as ext_proc
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Any

from router_extproc.base.paths import CHAT_PATH, READS
from router_extproc.envoyconf.topology import Away

EXT_PROC_FILTER = "envoy.filters.http.ext_proc"


def bound(routes: Iterable[route.Route], away: Away, unread_paths: Sequence[str]) -> Iterator[route.Route]:
    """`routes`, each in the parts that `away` makes of it; the first part that matches is the right one."""
    for each in routes:
        if away is Away.PASS or each.direct_response is not None:
            yield each
        elif away is Away.REFUSE_CHAT:
            yield from (_closed(_only(each, _paths([CHAT_PATH]))), each)
        else:
            if unread_paths:
                yield _only(each, _paths(unread_paths))
            yield from _guarded(_without_upgrade(each))


def _guarded(each: route.Route) -> Iterator[route.Route]:
    method = _method_of(each)
    if method is None:
        yield _only(each, _methods(READS))
    yield each if method in READS else _closed(each)


def _closed(each: route.Route) -> route.Route:
    """Refuses what the router did not judge."""
    own = ext_proc.ExtProcPerRoute(overrides=ext_proc.ExtProcOverrides(failure_mode_allow=False))
    changed = copy.deepcopy(each)
    changed.typed_per_filter_config = {EXT_PROC_FILTER: Any.pack(own)}
    return changed


def _without_upgrade(each: route.Route) -> route.Route:
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

"""A document of our own form while it is made of another one: what stands where, and where it came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router_extproc.settings.dialects_inert import inert_names
from router_extproc.settings.problem import Loc, Notice, Problem, Severity, pattern_of, unknown_key

REMOVED: Final = object()
"""Stands in a list of the source for an item that was taken out, so that the others keep their places."""


@dataclass(slots=True)
class Draft:
    """`document` grows as parts of the source are put into it. `origins` has, for places that are not where
    they were in the source, the place there; what is below them is found from there."""

    document: dict[str, Any] = field(default_factory=dict)
    origins: dict[Loc, Loc] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def put(self, place: Loc, value: Any, origin: Loc) -> None:
        """`value`, which stands at `origin` in the source, at `place`, in mappings that are made where there
        are none."""
        node: Any = self.document
        for depth, part in enumerate(place[:-1]):
            if isinstance(node, dict) and part not in node:
                node[part] = {}
                self.origins.setdefault(place[: depth + 1], origin)
            if not _has(node, part):
                # The source has something else there, which is refused for that.
                return
            node = node[part]
        if isinstance(node, dict):
            node[place[-1]] = self._copy(value, place, origin)
            self.origins[place] = origin

    def append(self, place: Loc, value: Any, origin: Loc) -> Loc:
        """Like `put`, as the last item of the list at `place`, which is made when there is none. Returns the
        item's place."""
        node: Any = self.document
        for part in place[:-1]:
            if isinstance(node, dict):
                node.setdefault(part, {})
            if not _has(node, part):
                return place
            node = node[part]
        items = node.setdefault(place[-1], []) if isinstance(node, dict) else None
        if not isinstance(items, list):
            # The source has something else there, which is refused for that.
            return place
        item = (*place, len(items))
        items.append(self._copy(value, item, origin))
        self.origins[item] = origin
        return item

    def origin_of(self, loc: Loc) -> Loc:
        """The place in the source of what stands at `loc`."""
        for length in range(len(loc), 0, -1):
            if (origin := self.origins.get(loc[:length])) is not None:
                return (*origin, *loc[length:])
        return loc

    def warn(self, loc: Loc, text: str, *, inert: bool = True) -> None:
        """`inert` unless what stands at `loc` has an effect all the same."""
        self.notices.append(Notice(loc, text, inert))

    def refuse(self, loc: Loc, text: str) -> None:
        self.problems.append(Problem(loc, text, Severity.ERROR))

    def only(self, mapping: Mapping[str, Any], loc: Loc, names: Iterable[str]) -> None:
        """Refuse the keys that are none of `names`."""
        known = set(names)
        for key in mapping:
            if key not in known:
                names = known.union(inert_names(pattern_of(loc)))
                self.refuse((*loc, key), unknown_key(key, names))

    def flag(self, mapping: Mapping[str, Any], key: str, loc: Loc) -> bool | None:
        """The value of a switch; None when it is not given, or refused."""
        value = mapping.get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse((*loc, key), "input should be a valid boolean")
            return None
        return value

    def _copy(self, value: Any, place: Loc, origin: Loc) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self._copy(item, (*place, key), (*origin, key))
                for key, item in value.items()
                if item is not REMOVED
            }
        if not isinstance(value, list):
            return value
        items: list[Any] = []
        for index, item in enumerate(value):
            if item is REMOVED:
                continue
            to = (*place, len(items))
            if len(items) != index:
                self.origins[to] = (*origin, index)
            items.append(self._copy(item, to, (*origin, index)))
        return items


def _has(node: Any, part: int | str) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, dict) and part in node


def without(node: Any, removed: frozenset[Loc], loc: Loc = ()) -> Any:
    """A copy without the places in `removed`, and without keys that have no value or an empty text, which is
    the same as not giving them in the form this is for."""
    if isinstance(node, Mapping):
        return {
            key: without(item, removed, (*loc, key))
            for key, item in node.items()
            if item is not None and item != "" and (*loc, key) not in removed
        }
    if isinstance(node, list):
        return [
            REMOVED if (*loc, index) in removed else without(item, removed, (*loc, index))
            for index, item in enumerate(node)
        ]
    return node

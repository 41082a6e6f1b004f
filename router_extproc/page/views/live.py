"""Live: rate, latency, hit rate, and where requests go."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui
from nicegui.element import Element

from router_extproc.page.design import TileCard, bars, block, card, chart, empty, redraw, words
from router_extproc.page.frame import LOOK_SECONDS, Board, framed
from router_extproc.page.parts import Parts
from router_extproc.page.shown import live as shown

COLUMNS = [
    {"name": name, "label": label, "field": name, "align": align}
    for name, label, align in (
        ("category", "Category", "left"),
        ("decision", "Decision", "left"),
        ("model", "Answered by", "left"),
        ("count", "Requests", "right"),
    )
]


def live(parts: Parts) -> None:
    with framed(parts, "", "Live", "What passes through the router, five minutes back"):
        board = Board()
        place = block("stack").style("gap: 1rem")
        view: list[_Live] = []

        async def look() -> None:
            overview = await parts.overview.get()
            if not view:
                with place:
                    view.append(_Live(overview))
            view[0].show(overview)

        ui.timer(LOOK_SECONDS, lambda: board.tried(look))


class _Live:
    def __init__(self, overview: Mapping[str, Any]) -> None:
        with block("grid four"):
            self._tiles = [TileCard(tile) for tile in shown.tiles(overview)]
        with block("grid three"):
            with card("Requests per second"):
                self._traffic = chart(shown.traffic(overview), "Requests per second over the last minutes")
            with card("Added latency", "95th percentile"):
                self._latency = chart(shown.latency(overview), "Added latency over the last minutes")
            with card("Hit rate", "of the lookups"):
                self._hits = chart(shown.hit_rate(overview), "Cache hit rate over the last minutes")
        with card("Where requests go", "category, decision, who answers"):
            self._nothing = block("stack")
            with self._nothing:
                empty(
                    "alt_route",
                    "No requests in these minutes",
                    "Send one to Envoy, or ask something in the playground: its way appears here.",
                )
            self._flow = chart(shown.flow(overview), "Requests by category, decision and model", "flow")
            with ui.expansion("The same as a table") as self._as_table:
                self._table = ui.table(columns=COLUMNS, rows=[], row_key="id").props("flat dense")
        with block("grid three"):
            self._hits_by = _Counted("Hits", "how they were found", "No hits in these minutes.")
            self._misses_by = _Counted("Misses", "why", "No misses in these minutes.")
            self._skipped_by = _Counted("Not looked up", "why", "Every request was looked up.")

    def show(self, overview: Mapping[str, Any]) -> None:
        for made, tile in zip(self._tiles, shown.tiles(overview), strict=True):
            made.show(tile)
        redraw(self._traffic, shown.traffic(overview))
        redraw(self._latency, shown.latency(overview))
        redraw(self._hits, shown.hit_rate(overview))
        flows = bool(overview["flows"])
        self._nothing.set_visibility(not flows)
        self._flow.set_visibility(flows)
        self._as_table.set_visibility(flows)
        if flows:
            redraw(self._flow, shown.flow(overview))
        if self._table.rows != (rows := shown.ways(overview)):
            self._table.rows = rows
        cache = overview["cache"]
        self._hits_by.show(cache["hits"], "var(--good)")
        self._misses_by.show(cache["misses"], "var(--warn)")
        self._skipped_by.show(cache["skipped"], "var(--muted)")


class _Counted:
    """Counts by name, built again only where they changed."""

    def __init__(self, title: str, note: str, nothing: str) -> None:
        self._nothing = nothing
        self._counts: Mapping[str, int] | None = None
        with card(title, note):
            self._place: Element = block("stack")

    def show(self, counts: Mapping[str, int], colour: str) -> None:
        if counts == self._counts:
            return
        self._counts = dict(counts)
        self._place.clear()
        with self._place:
            if counts:
                bars(shown.bars(counts), colour)
            else:
                words("p", self._nothing, "muted")

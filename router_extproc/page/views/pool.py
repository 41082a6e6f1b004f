"""Pool: the models with their health, latency and price."""

from nicegui import ui

from router_extproc.page.design import block, card, chart, chip, empty, pairs, redraw, words
from router_extproc.page.frame import LOOK_SECONDS, Board, framed
from router_extproc.page.parts import Parts
from router_extproc.page.shown import pool as shown


def pool(parts: Parts) -> None:
    with framed(parts, "pool", "Pool", "The models, as their answers go"):
        board = Board()
        place = block("grid three")
        with card("Latency of whole answers", "from the request's first message; five minutes back"):
            drawn = chart({}, "Median and 95th percentile of the latency of each model")
        before: list[tuple[shown.Model, ...]] = []

        async def look() -> None:
            overview = await parts.overview.get()
            models = shown.models(overview, await parts.router.get("/api/v1/pool"))
            redraw(drawn, shown.latencies(overview))
            if before == [models]:
                return
            before[:] = [models]
            place.clear()
            with place:
                for each in models:
                    _model(each)
                if not models:
                    empty("dns", "No models", "model_config names none.")

        ui.timer(LOOK_SECONDS, lambda: board.tried(look))


def _model(model: shown.Model) -> None:
    with block("card", "section"):
        with block("head"):
            words("h2", model.name, "wrap")
            chip(model.health, model.tone)
        pairs(model.facts)

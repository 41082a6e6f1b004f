"""Requests: the last decisions, each with its whole explanation."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from router_extproc.page.design import bars, block, card, chip, empty, name, pairs, quiet_button, words
from router_extproc.page.frame import LOOK_SECONDS, Board, for_signed_in, framed
from router_extproc.page.parts import Parts
from router_extproc.page.sessions import Person
from router_extproc.page.shown import requests as shown

LIMIT = "50"
COLUMNS = ("Time", "Answered by", "Category", "Model", "Cache", "Took")


def requests(parts: Parts) -> None:
    with framed(parts, "requests", "Requests", "The last 50 decisions and why they were made") as person:
        for_signed_in(parts, person, "requests", lambda: _list(parts, person))


def _list(parts: Parts, person: Person) -> None:
    board = Board()
    records: dict[str, Mapping[str, Any]] = {}
    with card("Decisions"):
        with block("line"):
            words("span", "the latest first, in UTC; nothing of any text is in them", "muted small grow")
            following = ui.switch("Follow", value=True)
        place = block("stack")
    dialog = ui.dialog().props("maximized=false")

    async def look() -> None:
        if records and not following.value:
            return
        said = await parts.router.get("/api/v1/decisions", person.token(), limit=LIMIT)
        found = {each["request_id"]: each for each in said["decisions"]}
        if found.keys() == records.keys() and place.default_slot.children:
            return
        records.clear()
        records.update(found)
        place.clear()
        with place:
            _rows(shown.rows(list(found.values())), show)

    def show(request: str) -> None:
        if request not in records:
            return
        dialog.clear()
        with (
            dialog,
            block("card").style("width: min(64rem, 94vw); max-width: 94vw; max-height: 90vh; overflow: auto"),
        ):
            _explained(records[request], dialog)
        dialog.open()

    ui.timer(LOOK_SECONDS, lambda: board.tried(look))


def _rows(rows: list[shown.Row], show: Any) -> None:
    if not rows:
        empty(
            "list_alt",
            "No decisions yet",
            "They appear here when a request is over. The playground sends one.",
        )
        return
    with block("request names").props("aria-hidden=true"):
        for column in COLUMNS:
            words("span", column)
    with block("requests").props("role=list"):
        for each in rows:
            with block("request").props("role=listitem"):
                words("span", each.time, "num muted small")
                with block("line"):
                    chip(each.outcome, each.tone)
                words("span", each.category, "nowrap")
                words("span", each.model, "nowrap")
                words("span", each.cache, "muted small")
                words("span", each.took, "num small")
                button = quiet_button("Why", lambda _, id=each.id: show(id), "help_outline")
                button.props("dense")
                name(button, f"Why: request of {each.time}, {each.outcome}")


def _explained(record: Mapping[str, Any], dialog: ui.dialog) -> None:
    outcome, tone = shown.outcome_of(record)
    with block("head"):
        words("h2", "Why this answer")
        ui.button(icon="close", color=None, on_click=dialog.close).props(
            'round flat dense aria-label="Close"'
        ).classes("plain-button")
    with block("line"):
        chip(outcome, tone)
        words("p", shown.summary(record), "grow")
    with block("grid two"):
        _part("The request", lambda: pairs(shown.facts(record)))
        with block("stack").style("gap: 1.25rem"):
            _part("Time spent by the router", lambda: bars(shown.steps(record)), bool(shown.steps(record)))
            _part("From the first message", lambda: pairs(shown.moments(record)))
        _part("Category", lambda: bars(shown.domains(record)), bool(shown.domains(record)))
        _part("Models considered", lambda: pairs(shown.candidates(record)), bool(record["candidates"]))
        _part("Cache", lambda: pairs(shown.cache(record)))
        _part("Guards", lambda: pairs(shown.guards(record)), bool(record["guards"]))
        _part("Signals", lambda: pairs(shown.signals(record)), bool(shown.signals(record)))
        _part("Failures", lambda: pairs(shown.failures(record)), bool(record["failures"]))


def _part(title: str, build: Any, there: bool = True) -> None:
    if there:
        with block("stack tight"):
            words("h3", title)
            build()

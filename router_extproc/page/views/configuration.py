"""Configuration: what is in force, why a change of it was refused, and whether a file would do."""

from nicegui import ui

from router_extproc.page.design import block, card, main_button, pairs, words
from router_extproc.page.frame import Board, for_signed_in, framed
from router_extproc.page.parts import Parts
from router_extproc.page.sessions import Person
from router_extproc.page.shown import configuration as shown

LOOK_SECONDS = 5.0


def configuration(parts: Parts) -> None:
    note = "What the router serves with"
    with framed(parts, "configuration", "Configuration", note) as person:
        for_signed_in(parts, person, "configuration", lambda: _configuration(parts, person))


def _configuration(parts: Parts, person: Person) -> None:
    board = Board()
    refused = block("stack")
    with block("grid two"):
        with card("In force", "secrets are left out"):
            place = block("stack")
            code = words("pre", "", "code").props('tabindex=0 aria-label="The configuration in force"')
        _check(parts, person)
    before: list[object] = []

    async def look() -> None:
        state = await parts.router.get("/config/router", person.token())
        overview = await parts.overview.get()
        if before == [state["generation"], state["hash"], state["problem"]]:
            return
        before[:] = [state["generation"], state["hash"], state["problem"]]
        code.text = shown.text(state)
        place.clear()
        refused.clear()
        with place:
            pairs(shown.facts(state, overview["uptime_s"]))
        if state["problem"]:
            with refused, block("notice").props("role=alert"):
                words("h2", "The changed file was refused; the one before stays in force", "bad")
                words("div", state["problem"], "wrap mono")

    ui.timer(LOOK_SECONDS, lambda: board.tried(look))


def _check(parts: Parts, person: Person) -> None:
    with card("Check a file", "nothing is changed by it"):
        board = Board()
        content = ui.textarea(placeholder="Paste a router.yaml, in any form that check-config reads").props(
            'outlined aria-label="A configuration to check" '
            'input-style="min-height: 14rem; font-family: monospace"'
        )
        with block("line"):
            button = main_button("Check", None, "rule")
        result = block("stack").props("aria-live=polite")

        async def check() -> None:
            text = str(content.value or "")
            result.clear()
            if not text.strip():
                content.run_method("focus")
                return
            said = await parts.router.post("/config/router/validate", {"content": text}, person.token())
            sentence, tone = shown.verdict(said)
            with result:
                words("div", sentence, tone)
                for line in said["problems"]:
                    words("div", line, "notice wrap mono")
                for line in said["warnings"]:
                    words("div", line, "notice warn-edge wrap mono")

        button.on_click(lambda: board.tried(check))

"""Cache: what is in it, found by meaning, looked at, taken back."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from router_extproc.page.design import (
    TileCard,
    block,
    card,
    empty,
    main_button,
    name,
    pairs,
    quiet_button,
    words,
)
from router_extproc.page.frame import Board, for_signed_in, framed
from router_extproc.page.parts import Parts
from router_extproc.page.router import ApiError
from router_extproc.page.sessions import Person
from router_extproc.page.shown import cache as shown

PREFIX = "/api/v1/response-cache"
LISTED = "50"
FOUND = 20
STATS_SECONDS = 5.0


def cache(parts: Parts) -> None:
    with framed(parts, "cache", "Cache", "Answers that are kept, and how to take one back") as person:
        for_signed_in(parts, person, "cache", lambda: _Cache(parts, person).build())


class _Cache:
    def __init__(self, parts: Parts, person: Person) -> None:
        self._router = parts.router
        self._person = person
        self._tiles: list[TileCard] = []

    def build(self) -> None:
        self._board = Board()
        self._top = block("grid four")
        with card("Find by meaning", "the nearest questions, whoever asked them"), block("line"):
            self._query = (
                ui.input(placeholder="What is it about?")
                .props('outlined dense clearable aria-label="Find by meaning" maxlength=16000')
                .classes("grow")
            )
            self._query.on("keydown.enter", self._search)
            main_button("Find", self._search, "search")
        with card("Entries"):
            with block("line"):
                self._note = words("span", "", "muted small grow")
                quiet_button("Newest", self._newest, "refresh")
                quiet_button("Take everything back", self._flush, "delete_sweep", "bad")
            self._place = block("stack")
        self._dialog = ui.dialog()
        ui.timer(STATS_SECONDS, lambda: self._board.tried(self._stats))
        ui.timer(0.1, self._newest, once=True)

    async def _stats(self) -> None:
        tiles = shown.tiles(await self._router.get(f"{PREFIX}/stats", self._person.token()))
        if len(tiles) != len(self._tiles):
            self._top.clear()
            with self._top:
                self._tiles = [TileCard(tile) for tile in tiles]
        for made, tile in zip(self._tiles, tiles, strict=True):
            made.show(tile)

    async def _newest(self) -> None:
        async def look() -> None:
            said = await self._router.get(
                f"{PREFIX}/entries", self._person.token(), limit=LISTED, text="true"
            )
            self._note.text = "up to 50 entries, the newest first"
            self._show(
                shown.listed(said, time.time()),
                "The cache is empty",
                "Answers appear here once a request was answered completely and may be kept.",
            )

        await self._board.tried(look)

    async def _search(self) -> None:
        text = str(self._query.value or "").strip()
        if not text:
            await self._newest()
            return

        async def look() -> None:
            said = await self._router.post(
                f"{PREFIX}/search", {"text": text, "limit": FOUND}, self._person.token()
            )
            self._note.text = shown.found_note(said)
            self._show(
                shown.found(said, time.time()),
                "Nothing to compare with",
                "The cache has no live entry.",
            )

        await self._board.tried(look)

    def _show(self, rows: list[shown.Row], title: str, text: str) -> None:
        self._place.clear()
        with self._place:
            if not rows:
                empty("inventory_2", title, text)
                return
            with block("entries").props("role=list"):
                for each in rows:
                    self._row(each)

    def _row(self, each: shown.Row) -> None:
        with block("entry").props("role=listitem"):
            with block("stack tight grow"):
                words("div", each.question or "(no text)", "wrap clamp")
                with block("line muted small"):
                    if each.similarity:
                        words("span", f"cosine {each.similarity}", "num")
                    words("span", each.category)
                    words("span", each.model)
                    words("span", f"{each.age} old, {each.left} left", "num")
            button = quiet_button("Look", lambda _, id=each.id: self._look(id), "visibility")
            button.props("dense")
            name(button, f"Look at the entry: {each.question[:60]}")

    async def _look(self, entry: str) -> None:
        async def look() -> None:
            said = await self._router.get(f"{PREFIX}/entries/{entry}", self._person.token())
            self._dialog.clear()
            with self._dialog, block("card").style(WIDE):
                self._whole(said)
            self._dialog.open()

        await self._board.tried(look)

    def _whole(self, said: dict[str, Any]) -> None:
        with block("head"):
            words("h2", "Entry")
            ui.button(icon="close", color=None, on_click=self._dialog.close).props(
                'round flat dense aria-label="Close"'
            ).classes("plain-button")
        with block("grid two"):
            with block("stack tight"):
                words("h3", "Question")
                words("div", said["text"], "answer short wrap")
                words("h3", "Answer")
                words("div", said["answer"]["content"], "answer wrap")
            with block("stack"):
                pairs(shown.details(said, time.time()))
                with block("line"):
                    quiet_button("Take back", lambda: self._invalidate(said["id"]), "undo", "bad")
                    quiet_button("Mark wrong", lambda: self._wrong(said["id"]), "thumb_down", "bad")
                words(
                    "p",
                    "Taking back removes this answer. Marking it wrong also says that the model's own answer "
                    "to this question was wrong, so that it is asked again. To mark a pair, an answer given "
                    "to another question, give that question's id (x-vsr-cache-question).",
                    "muted small",
                )
                self._question = ui.input("Id of the question, for a pair").props(
                    "outlined dense maxlength=32"
                )

    async def _invalidate(self, entry: str) -> None:
        await self._done(
            lambda: self._router.post(f"{PREFIX}/invalidate", {"entry": entry}, self._person.token()), "Entry"
        )

    async def _wrong(self, entry: str) -> None:
        question = str(self._question.value or "").strip() or entry
        await self._done(
            lambda: self._router.post(
                f"{PREFIX}/feedback", {"entry": entry, "question": question}, self._person.token()
            ),
            "Marked wrong: the entry is",
        )

    async def _flush(self) -> None:
        with ui.dialog() as sure, block("card"):
            words("h2", "Take everything back?")
            words("p", "No answer that is in the cache now will be given again, on any replica.", "muted")
            with block("line"):
                quiet_button("Take everything back", lambda: sure.submit(True), "delete_sweep", "bad")
                quiet_button("Keep", lambda: sure.submit(False))
        if await sure:
            await self._done(
                lambda: self._router.post(f"{PREFIX}/flush", {}, self._person.token()), "Everything"
            )

    async def _done(self, call: Callable[[], Awaitable[dict[str, Any]]], what: str) -> None:
        try:
            said = await call()
        except ApiError as error:
            ui.notify(f"{error.message}. {error.cure}", type="negative", multi_line=True)
            return
        self._dialog.close()
        ui.notify(shown.invalidated(said, what), type="positive")
        await self._newest()


WIDE = "width: min(64rem, 94vw); max-width: 94vw; max-height: 90vh; overflow: auto"

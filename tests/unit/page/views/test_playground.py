from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nicegui import Client, ui
from nicegui.page import page

from router_extproc.page.envoy import Asked, Began, Ended, Piece
from router_extproc.page.parts import Parts
from router_extproc.page.router import ApiError, Latest, Router
from router_extproc.page.sessions import Person, Sessions
from router_extproc.page.views.playground import Playground, _Answer


class Scripted:
    """Implements `Asks`: many pieces at once."""

    def __init__(self, pieces: int = 1, failure: ApiError | None = None) -> None:
        self.asked: list[Asked] = []
        self._pieces = pieces
        self._failure = failure

    async def ask(self, asked: Asked) -> AsyncIterator[Began | Piece | Ended]:
        self.asked.append(asked)
        yield Began(200, {}, 1.0)
        for number in range(self._pieces):
            yield Piece("x", 2.0 + number)
        if self._failure:
            raise self._failure
        yield Ended(3.0 + self._pieces, None)


@asynccontextmanager
async def parts(envoy: Scripted, *, guarded: bool = False) -> AsyncIterator[Parts]:
    router = Router(Path("/nobody/api.sock"))
    yield Parts(router, envoy, Latest(router, "/"), Sessions(lambda: 0.0), guarded)
    await router.close()


async def asked_by(made: Parts, person: Person) -> None:
    with Client(page("/x")) as client:
        view = Playground(made, person)
        view.build()
        try:
            await view.ask()
        finally:
            client.delete()


async def test_who_signed_out_in_another_tab_asks_no_model() -> None:
    envoy = Scripted()
    async with parts(envoy, guarded=True) as made:
        browser = made.sessions.enter("a", made.sessions.of("a").ticket("word"))
        person, other_tab = made.sessions.of(browser), made.sessions.of(browser)
        await asked_by(made, person)
        assert len(envoy.asked) == 1
        other_tab.sign_out()
        with pytest.raises(ApiError, match="not signed in") as refused:
            await asked_by(made, person)
    assert refused.value.wants_token
    assert len(envoy.asked) == 1


async def test_a_page_that_is_not_guarded_asks_for_everybody() -> None:
    envoy = Scripted()
    async with parts(envoy) as made:
        await asked_by(made, made.sessions.of("a"))
    assert len(envoy.asked) == 1


@pytest.mark.parametrize("failure", [None, ApiError(0, "", "broke off")])
async def test_a_long_answer_is_not_sent_whole_with_every_piece(failure: ApiError | None) -> None:
    shown: list[str] = []

    def seen(text: str) -> str:
        shown.append(text)
        return text

    with Client(page("/x")) as client:
        answer = _Answer(Asked("Why?"))
        ui.label().bind_text_from(answer._text, "text", seen)
        async with parts(Scripted(2000, failure)) as made:
            await answer.stream(made)
    assert answer._text.text == 2000 * "x"
    assert (answer._clock.text == "failed") == bool(failure)
    assert 2 <= len(shown) < 20
    client.delete()

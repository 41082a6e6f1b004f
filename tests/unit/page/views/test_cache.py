from pathlib import Path

from nicegui import Client, ui
from nicegui.page import page

from router_extproc.page.design import block
from router_extproc.page.envoy import Envoy
from router_extproc.page.parts import Parts
from router_extproc.page.router import Latest, Router
from router_extproc.page.sessions import Sessions
from router_extproc.page.shown.cache import Row
from router_extproc.page.views.cache import _Cache


def row(number: int, question: str) -> Row:
    return Row(str(number), question, "law", "small", "1 s", "2 s", "")


async def test_every_entry_is_shown_whatever_its_question_is_made_of() -> None:
    questions = ["first", "carriage\rreturn", "nul\0", 'quo"te \\', "\\", "last"]
    router, envoy, sessions = (
        Router(Path("/nobody/api.sock")),
        Envoy("http://127.0.0.1:9"),
        Sessions(lambda: 0.0),
    )
    made = Parts(router, envoy, Latest(router, "/"), sessions, guarded=False)
    with Client(page("/x")) as client:
        view = _Cache(made, sessions.of("a"))
        view._place = block("stack")
        view._show([row(number, text) for number, text in enumerate(questions)], "", "")
    buttons = [each for each in view._place.descendants() if isinstance(each, ui.button)]
    assert [each.props["aria-label"] for each in buttons] == [
        f"Look at the entry: {' '.join(text.split())}" for text in questions
    ]
    client.delete()
    await router.close()
    await envoy.close()

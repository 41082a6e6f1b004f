from nicegui import Client
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.page import page

from router_extproc.page.frame import _unexpected


def texts(place: Element) -> list[str]:
    return [each.text for each in place.descendants() if isinstance(each, TextElement)]


async def test_what_fails_unexpectedly_is_said_once_to_who_looks_and_without_its_text() -> None:
    with Client(page("/x")) as client:
        _unexpected()
        for _ in range(3):
            client.handle_exception(ValueError("what a person wrote"))
        said = texts(client.content)
    assert len([each for each in said if "ValueError" in each]) == 1
    assert "what a person wrote" not in " ".join(said)
    client.delete()

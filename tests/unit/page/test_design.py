import pytest
from nicegui import Client, ui
from nicegui.page import page

from router_extproc.page.design import chart, name


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("plain", "plain"),
        ("a\rb\nc", "a b c"),
        ("nul \0 here", "nul \0 here"),
        ('a "quote" and \\', 'a "quote" and \\'),
        ("x\" onclick='y", "x\" onclick='y"),
    ],
)
async def test_any_text_can_be_a_name_and_is_nothing_but_a_name(text: str, spoken: str) -> None:
    with Client(page("/x")) as client:
        button = ui.button("x")
        before = set(button.props)
        name(button, text)
        drawn = chart({}, text)
    assert button.props["aria-label"] == drawn.props["aria-label"] == spoken
    assert set(button.props) - before == {"aria-label"}
    client.delete()

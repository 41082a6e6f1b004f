"""The page's parts: cards, tiles, bars, chips, empty states, problems. Every view is made of these.

Text from elsewhere is always text, never markup.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from router_extproc.page.router import ApiError
from router_extproc.page.shown.live import Bar, Tile

STYLE: Final = Path(__file__).with_name("style.css")


def words(tag: str, content: str, classes: str = "") -> TextElement:
    """Text in an element of this tag."""
    return TextElement(tag=tag, text=content).classes(classes)


def name(element: Element, text: str) -> None:
    """Say what it is to who cannot see it. Text never goes into `props(...)`: that is a language, and its
    parser fails on some texts."""
    element.props["aria-label"] = " ".join(text.split())


def block(classes: str, tag: str = "div") -> Element:
    return ui.element(tag).classes(classes)


@contextmanager
def card(title: str, note: str = "") -> Iterator[Element]:
    with block("card", "section") as made:
        with block("head"):
            words("h2", title)
            if note:
                words("span", note, "muted small")
        yield made


class TileCard:
    """A figure that changes in place."""

    def __init__(self, tile: Tile) -> None:
        with block("card tile"):
            self._label = words("h3", tile.label)
            self._value = words("div", tile.value, "value num")
            self._note = words("div", tile.note, "muted small num")
        self._tone = ""
        self.show(tile)

    def show(self, tile: Tile) -> None:
        self._label.text, self._value.text, self._note.text = tile.label, tile.value, tile.note
        self._value.classes(add=tile.tone, remove=self._tone)
        self._tone = tile.tone


def bars(rows: Iterable[Bar], colour: str = "") -> None:
    with block("rows"):
        for each in rows:
            words("span", each.name, "grow")
            words("span", each.value, "num muted")
            with block("track"):
                fill = block("fill").style(f"width: {100 * each.share:.1f}%")
                if colour:
                    fill.style(f"background: {colour}")


def chip(text: str, tone: str = "", icon: str = "") -> None:
    with block(f"chip {tone}", "span"):
        if icon:
            ui.icon(icon).props("aria-hidden=true")
        words("span", text, "wrap")


def pairs(rows: Sequence[tuple[str, str]], classes: str = "") -> None:
    """Names and what they are."""
    with block(f"pairs {classes}"):
        for what, value in rows:
            words("div", what)
            words("div", value, "wrap num")


def empty(icon: str, title: str, text: str) -> None:
    """Where there is nothing yet, and what would change that."""
    with block("empty"):
        ui.icon(icon).props("aria-hidden=true")
        words("div", title, "title")
        words("div", text, "small")


def problem(error: ApiError) -> None:
    """What went wrong and what to do."""
    with block("notice").props("role=alert"):
        words("div", f"{error.message[:1].upper()}{error.message[1:]}", "wrap")
        if error.cure:
            words("div", error.cure, "muted small wrap")


def chart(options: dict[str, Any], label: str, classes: str = "chart") -> ui.echart:
    """`label` says what it shows to who cannot see it."""
    made = ui.echart(options, renderer="svg").classes(classes).props("role=img")
    name(made, label)
    return made


def redraw(drawn: ui.echart, options: dict[str, Any]) -> None:
    if drawn.options != options:
        drawn.options.clear()
        drawn.options.update(options)
        drawn.update()


def main_button(text: str, on_click: Any, icon: str = "") -> ui.button:
    return (
        ui.button(text, on_click=on_click, icon=icon or None, color=None)
        .props("unelevated")
        .classes("main-button")
    )


def quiet_button(text: str, on_click: Any, icon: str = "", tone: str = "quiet") -> ui.button:
    return (
        ui.button(text, on_click=on_click, icon=icon or None, color=None)
        .props("unelevated")
        .classes(f"{tone}-button")
    )

"""What is around every view: the bar, the way from view to view, signing in, light and dark."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from nicegui import ui

from router_extproc.page.design import block, main_button, problem, quiet_button, words
from router_extproc.page.parts import Parts
from router_extproc.page.router import ApiError
from router_extproc.page.sessions import Person, Theme
from router_extproc.page.shown.words import since

TITLE: Final = "router-extproc"
VIEWS: Final = (
    ("", "Live", "insights"),
    ("requests", "Requests", "list_alt"),
    ("playground", "Playground", "chat"),
    ("cache", "Cache", "inventory_2"),
    ("pool", "Pool", "dns"),
    ("configuration", "Config", "tune"),
)
"""Path, name and icon."""

DARK: Final[dict[Theme, bool | None]] = {"auto": None, "light": False, "dark": True}
THEME_ICONS: Final[dict[Theme, str]] = {"auto": "contrast", "light": "light_mode", "dark": "dark_mode"}
LOOK_SECONDS: Final = 2.0


@contextmanager
def framed(parts: Parts, path: str, title: str, note: str) -> Iterator[Person]:
    """The frame, inside which the view is built. `path` is one of VIEWS'."""
    person = parts.person()
    ui.page_title(f"{title} · {TITLE}")
    dark = ui.dark_mode(DARK[person.theme])
    with block("bar", "header"):
        with ui.element("a").props('href="./"').classes("brand"):
            with block("mark"):
                ui.icon("alt_route").props("aria-hidden=true")
            words("span", TITLE)
        block("grow")
        _state(parts)
        _theme(person, dark)
        if person.token:
            _sign_out(person)
    with block("frame"):
        with block("nav", "nav").props('aria-label="Views"'):
            for place, name, icon in VIEWS:
                current = " aria-current=page" if place == path else ""
                with ui.element("a").props(f'href="./{place}"{current}'):
                    ui.icon(icon).props("aria-hidden=true")
                    words("span", name)
        with block("main", "main") as main:
            with block("heading"):
                words("h1", title)
                words("p", note, "muted")
            yield person
    ui.skip_link("Skip to the view", target=main)


def _state(parts: Parts) -> None:
    """Whether the router answers, and since when."""
    with block("state", "div").props("role=status") as state:
        block("dot", "span")
        text = words("span", "connecting")

    async def look() -> None:
        try:
            overview = await parts.overview.get()
        except ApiError:
            text.text = "router not reached"
            state.classes(add="bad", remove="good")
            return
        text.text = f"up {since(overview['uptime_s'])}"
        state.classes(add="good", remove="bad")

    ui.timer(LOOK_SECONDS, look)


def _theme(person: Person, dark: ui.dark_mode) -> None:
    def label() -> str:
        return f'round flat dense aria-label="Colours: {person.theme}. Change"'

    def change() -> None:
        theme = person.next_theme()
        dark.value = DARK[theme]
        button.props(f"icon={THEME_ICONS[theme]}").props(label())
        ui.notify(f"Colours: {theme}", timeout=1500)

    button = ui.button(icon=THEME_ICONS[person.theme], color=None, on_click=change)
    button.props(label()).classes("plain-button")


def _sign_out(person: Person) -> None:
    def leave() -> None:
        person.token = ""
        ui.navigate.to("./")

    button = ui.button(icon="logout", color=None, on_click=leave)
    button.props('round flat dense aria-label="Sign out"').classes("plain-button")


def for_signed_in(parts: Parts, person: Person, build: Callable[[], None]) -> None:
    """`build` in this place, at once for who is signed in, or after they have."""
    if person.token or not parts.guarded:
        build()
        return
    with block("stack") as place:
        pass

    def go_on() -> None:
        place.clear()
        with place:
            build()

    with place:
        _sign_in(parts, person, go_on)


def _sign_in(parts: Parts, person: Person, go_on: Callable[[], None]) -> None:
    async def enter() -> None:
        token = str(field.value or "").strip()
        failed.clear()
        if not token:
            field.run_method("focus")
            return
        try:
            await parts.router.get("/api/v1/response-cache/capabilities", token)
        except ApiError as error:
            if error.code not in PAST_THE_TOKEN:
                with failed:
                    problem(error)
                return
        person.token = token
        go_on()

    with block("card", "section").style("max-width: 30rem"):
        words("h2", "Sign in")
        words(
            "p",
            "This view shows what others have written, so it needs the router's token: the word in the file "
            "that admin.token_file names.",
            "muted",
        )
        field = ui.input("Token", password=True, password_toggle_button=True).props("outlined dense")
        field.on("keydown.enter", enter)
        failed = block("stack")
        with block("line"):
            main_button("Sign in", enter, "login")


PAST_THE_TOKEN: Final = frozenset({"CACHE_DISABLED", "STORE_UNAVAILABLE", "DEADLINE_EXCEEDED"})
"""Errors of who was let in."""


class Board:
    """A place that shows what a call brought, and in its stead what went wrong, until it works again."""

    def __init__(self) -> None:
        self.trouble = block("stack")
        self._said = ""

    async def tried(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except ApiError as error:
            if error.message != self._said:
                self._said = error.message
                self.trouble.clear()
                with self.trouble:
                    problem(error)
                    if error.wants_token:
                        quiet_button("Sign in again", _again, "login")
        else:
            if self._said:
                self._said = ""
                self.trouble.clear()


def _again() -> None:
    ui.navigate.reload()

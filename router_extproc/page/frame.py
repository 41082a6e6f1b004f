"""What is around every view: the bar, the way from view to view, signing in, light and dark."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlencode

from nicegui import ui

from router_extproc.page.design import block, main_button, name, problem, quiet_button, words
from router_extproc.page.parts import Parts
from router_extproc.page.router import ApiError
from router_extproc.page.sessions import Person, Theme
from router_extproc.page.shown.words import since

TITLE: Final = "router-extproc"
ENTER: Final = "enter"
"""Where a browser is signed in, beside the views."""

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
        if person.token():
            _sign_out(person)
    with block("frame"):
        with block("nav", "nav").props('aria-label="Views"'):
            for place, title_of, icon in VIEWS:
                with ui.element("a") as link:
                    link.props["href"] = f"./{place}"
                    if place == path:
                        link.props["aria-current"] = "page"
                    ui.icon(icon).props("aria-hidden=true")
                    words("span", title_of)
        with block("main", "main") as main:
            with block("heading"):
                words("h1", title)
                words("p", note, "muted")
            _unexpected()
            yield person
    ui.skip_link("Skip to the view", target=main)


def _unexpected() -> None:
    """Where a view says that something in it failed. What it was, without any text, is in the log."""
    place = block("stack")

    def told(error: Exception) -> None:
        place.clear()
        with place:
            problem(
                ApiError(
                    0,
                    "",
                    f"something in this view failed ({type(error).__name__}), and it may not show everything",
                    "Load it again. The page's log says where it failed",
                )
            )

    ui.on_exception(told)


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
    def change() -> None:
        theme = person.next_theme()
        dark.value = DARK[theme]
        button.props["icon"] = THEME_ICONS[theme]
        name(button, f"Colours: {theme}. Change")
        ui.notify(f"Colours: {theme}", timeout=1500)

    button = ui.button(icon=THEME_ICONS[person.theme], color=None, on_click=change)
    button.props("round flat dense").classes("plain-button")
    name(button, f"Colours: {person.theme}. Change")


def _sign_out(person: Person) -> None:
    def leave() -> None:
        person.sign_out()
        ui.navigate.to("./")

    button = ui.button(icon="logout", color=None, on_click=leave)
    button.props('round flat dense aria-label="Sign out"').classes("plain-button")


def for_signed_in(parts: Parts, person: Person, path: str, build: Callable[[], None]) -> None:
    """`build` in this place for who is signed in; who is not can do so, and comes back to `path`."""
    if parts.admits(person):
        build()
    else:
        _sign_in(parts, person, path)


def _sign_in(parts: Parts, person: Person, path: str) -> None:
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
        ui.navigate.to(f"./{ENTER}?{urlencode({'ticket': person.ticket(token), 'view': path})}")

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

"""Debian's Chromium, driven over its own protocol, and what a page does in it: requests, errors, pictures.

Owns where pictures go. Knows nothing of what the page shows.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

ARTIFACTS: Final = Path(__file__).parents[1] / "component" / "artifacts"
"""Kept by CI, ignored by git."""

PROGRAMS: Final = ("chromium", "chromium-browser")
SECONDS: Final = 60.0
"""The longest that anything in the browser may take: these tests may have a small share of a processor."""

Form = Literal["light", "dark", "phone", "phone-dark"]
FORMS: Final[tuple[Form, ...]] = ("light", "dark", "phone", "phone-dark")

FOCUSED: Final = """() => {
    const at = document.activeElement;
    if (!at || at === document.body) return null;
    const around = at.closest('.q-field') ? at.closest('.q-field').querySelector('.q-field__control') : at;
    const seen = [at, around].some((each) => {
        const style = getComputedStyle(each);
        return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    });
    const box = at.getBoundingClientRect();
    const said = at.cloneNode(true);
    said.querySelectorAll('[aria-hidden=true]').forEach((each) => each.remove());
    const name = at.getAttribute('aria-label') || said.textContent || at.getAttribute('placeholder')
        || (at.closest('label') ? at.closest('label').innerText : '') || '';
    return {tag: at.tagName, name: name.replace(/\\s+/g, ' ').trim(), seen: seen,
            inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight};
}"""
"""What has the keyboard's focus, whether one can see that it has, and whether it is on the screen."""


def chromium() -> str:
    """The program. Fails where there is none: a page that nobody looked at is not tested."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        raise AssertionError("Chromium is not installed; as root: apt-get install chromium")
    return found


@dataclass
class Tab:
    """A page of the browser and what it did. `foreign` are requests and web sockets to another host than
    `host`, none of which gets there; `errors` what the console and scripts complained of."""

    page: Page
    host: str
    form: Form
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: int = 0

    def listen(self) -> None:
        self.page.on("request", self._requested)
        self.page.on("websocket", lambda socket: self._went_to(socket.url))
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _requested(self, request: Request) -> None:
        self.requests += 1
        self._went_to(request.url)

    def _went_to(self, url: str) -> None:
        place = urlsplit(url)
        if place.scheme not in ("data", "blob") and place.netloc != self.host:
            self.foreign.append(url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    async def picture(self, name: str, *, whole: bool = True) -> Path:
        """Of the whole page, on a screen that is as high, or of what is on the screen now."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"{name}-{self.form}.png"
        size = self.page.viewport_size
        if whole and size is not None:
            height = int(await self.page.evaluate("document.documentElement.scrollHeight"))
            await self.page.set_viewport_size({"width": size["width"], "height": max(size["height"], height)})
        await self.page.screenshot(path=path)
        if whole and size is not None:
            await self.page.set_viewport_size(size)
        return path

    async def focused(self) -> dict[str, Any] | None:
        said: dict[str, Any] | None = await self.page.evaluate(FOCUSED)
        return said

    async def overflow(self) -> float:
        """Pixels by which the page is wider than the screen."""
        return float(await self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """For which there is no network but this machine."""
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    async with async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield started
        finally:
            await started.close()


async def context(browser: Browser, form: Form) -> BrowserContext:
    """One person's browser: without cookies, of this size and these colours."""
    wide: Any = {"width": 1360, "height": 900}
    phone: Any = {"width": 390, "height": 844}
    made = await browser.new_context(
        viewport=phone if form.startswith("phone") else wide,
        color_scheme="dark" if form.endswith("dark") else "light",
        reduced_motion="reduce",
    )
    made.set_default_timeout(1000 * SECONDS)
    await made.route(_is_elsewhere, lambda route: route.abort())
    return made


def _is_elsewhere(url: str) -> bool:
    return urlsplit(url).hostname != "127.0.0.1"


async def tab(context: BrowserContext, url: str, form: Form) -> Tab:
    """A tab that is listened to from its first request."""
    opened = Tab(await context.new_page(), urlsplit(url).netloc, form)
    opened.listen()
    return opened

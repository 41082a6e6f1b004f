"""The page before a real router, Envoy and pool, with people at browsers of every form who are signed in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from playwright.async_api import BrowserContext, expect

from router_extproc.app.configuration import simulated_models, topology_of
from router_extproc.app.envoy_folder import write_envoy
from router_extproc.app.mind import Mind
from router_extproc.app.router import running
from router_extproc.simulator.pool import Pool
from tests.support.browser import FORMS, SECONDS, Form, Tab, browser, context, tab
from tests.support.encoder import real_bundle
from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until
from tests.support.routing import prepare
from tests.support.stack import ask

QUESTIONS: Final = (
    "What are the main renewable energy sources?",
    "Differentiate x squared times the sine of x.",
    "Who was the first emperor of Rome?",
    "What is habeas corpus?",
    "How do I reverse a linked list in Python?",
)
CHANGES: Final = {
    "page": {"enabled": True},
    "encoder": {"timeout_ms": 1200},
    "semantic_cache": {"lookup_timeout_ms": 300, "coalesce_timeout_ms": 1000},
}
"""As long as Envoy would wait: these tests may have a small share of a processor."""


@dataclass(frozen=True, slots=True)
class Shown:
    """`url` of the page, `api` of the router; `people` have one browser for each form, signed in."""

    url: str
    api: str
    envoy: str
    token: str
    configuration: Path
    session: aiohttp.ClientSession
    people: dict[Form, BrowserContext]
    stranger: BrowserContext

    async def open(self, path: str, form: Form = "light") -> Tab:
        opened = await tab(self.people[form], self.url, form)
        await opened.page.goto(self.url + path)
        await expect(opened.page.locator(".state.good")).to_be_visible()
        return opened

    async def question(self, text: str) -> int:
        document = {"model": "auto", "messages": [{"role": "user", "content": text}]}
        return (await ask(self.session, self.envoy, document)).status

    async def get(self, path: str) -> Any:
        """What the API says to who has the token."""
        headers = {"authorization": f"Bearer {self.token}"}
        async with self.session.get(self.api + path, headers=headers) as answer:
            return await answer.json()


@asynccontextmanager
async def shown_page(folder: Path) -> AsyncIterator[Shown]:
    """Everything up, QUESTIONS asked, the first two twice."""
    configuration = prepare(folder, CHANGES)
    listeners = configuration.settings.listeners
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(Pool(simulated_models(configuration)))
        await enter(running(configuration, Mind.load(real_bundle(), configuration)))
        await write_envoy(topology_of(configuration), folder / "envoy")
        await enter(EnvoyProcess(folder / "envoy"))
        session = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)))
        api = f"http://127.0.0.1:{listeners.api.port}"
        started = await enter(browser())
        made = Shown(
            f"{api}/ui/",
            api,
            f"http://127.0.0.1:{listeners.envoy.port}",
            (folder / "admin-token").read_text().strip(),
            configuration.path,
            session,
            {form: await context(started, form) for form in FORMS},
            await context(started, "light"),
        )
        await wait_until(lambda: _is_up(session, made.url), "the page", SECONDS)
        for text in (*QUESTIONS, *QUESTIONS[:2]):
            assert await made.question(text) == 200
        for form, person in made.people.items():
            await _sign_in(await tab(person, made.url, form), made)
        yield made


async def _is_up(session: aiohttp.ClientSession, url: str) -> bool:
    async with session.get(url) as response:
        return response.status == 200


async def _sign_in(opened: Tab, made: Shown) -> None:
    await opened.page.goto(made.url + "cache")
    await opened.page.get_by_label("Token").first.fill(made.token)
    await opened.page.get_by_role("button", name="Sign in").click()
    await expect(opened.page.get_by_role("button", name="Find")).to_be_visible()
    await opened.page.close()

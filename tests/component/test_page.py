"""The page in a real Chromium, before a real router, Envoy and pool: every view in every form, by mouse and
by keyboard, against what the API says. Its pictures stay in `tests/component/artifacts/`."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from router_extproc.page.frame import VIEWS
from router_extproc.page.shown.live import way_of
from router_extproc.page.shown.words import millis, percent, price
from tests.support.browser import FORMS, SECONDS, Form, Tab, tab
from tests.support.page import QUESTIONS, Shown, shown_page
from tests.support.processes import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = {path: name for path, name, _ in VIEWS}
SPOKEN = {"": "Live", "configuration": "Configuration"}
SIGNS = {
    "": ".flow svg",
    "requests": "[role=listitem]",
    "playground": "textarea",
    "cache": ".entry",
    "pool": ".chip.good",
    "configuration": "pre:has-text('default_model')",
}
"""What each view is for."""

expect.set_options(timeout=1000 * SECONDS)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shown(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    async with shown_page(tmp_path_factory.mktemp("page")) as made:
        yield made


async def _settled(opened: Tab, path: str) -> None:
    await expect(opened.page.locator(SIGNS[path]).first).to_be_visible()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", PATHS)
async def test_every_view_fits_asks_nobody_else_and_complains_of_nothing(
    shown: Shown, path: str, form: Form
) -> None:
    assert await shown.question(QUESTIONS[0]) == 200  # of whatever is older the live view says nothing
    opened = await shown.open(path, form)
    await _settled(opened, path)
    await expect(opened.page.locator("h1")).to_have_text(SPOKEN.get(path, PATHS[path]))
    await expect(opened.page.locator("nav a[aria-current=page]")).to_have_count(1)
    dark = "body--dark" in (await opened.page.locator("body").get_attribute("class") or "")
    await opened.picture(PATHS[path].lower())
    assert dark == form.endswith("dark")
    assert await opened.overflow() <= 0
    assert opened.requests > 3
    assert (opened.foreign, opened.errors) == ([], [])
    await opened.page.close()


async def test_what_goes_elsewhere_is_seen_and_gets_nowhere(shown: Shown) -> None:
    """Without this, the test above might be blind."""
    opened = await tab(shown.stranger, shown.url, "light")
    elsewhere = "http://elsewhere.example/x.js"
    await opened.page.goto(f"data:text/html,<script src={elsewhere}></script>")
    await wait_until(lambda: opened.foreign, "the request to be seen", SECONDS)
    assert opened.foreign == [elsewhere]
    await wait_until(lambda: opened.errors, "its failure", SECONDS)
    await opened.page.close()


@pytest.mark.parametrize("path", PATHS)
async def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(shown: Shown, path: str) -> None:
    assert await shown.question(QUESTIONS[0]) == 200
    opened = await shown.open(path)
    await _settled(opened, path)
    met: list[str] = []
    for _ in range(60):
        await opened.page.keyboard.press("Tab")
        at = await opened.focused()
        if at is None:
            break
        assert at["seen"], f"nobody sees that {at} has the focus"
        assert at["inside"], f"{at} has the focus and is not on the screen"
        assert at["name"], f"{at} has no name"
        met.append(str(at["name"]))
        if len(met) > 12 and at["name"] == met[0]:
            break
    assert met[0] == "Skip to the view"
    assert set(PATHS.values()) <= set(met)
    assert any(name.startswith("Colours") for name in met)
    buttons = await opened.page.locator("main button:visible").all_inner_texts()
    assert len(met) >= len(PATHS) + 3 + (1 if buttons else 0)
    await opened.page.close()


async def test_the_keyboard_alone_leads_from_view_to_view_and_past_the_menu(shown: Shown) -> None:
    opened = await shown.open("")
    await opened.page.keyboard.press("Tab")
    await opened.page.keyboard.press("Enter")
    assert await opened.page.evaluate("document.activeElement.tagName") == "MAIN"
    await opened.page.get_by_role("link", name="Pool").focus()
    await opened.page.keyboard.press("Enter")
    await expect(opened.page.locator("h1")).to_have_text("Pool")
    await opened.page.close()


async def test_the_live_view_follows_what_the_api_says(shown: Shown) -> None:
    opened = await shown.open("")
    page = opened.page
    for _ in range(2):
        assert await shown.question(QUESTIONS[3]) == 200
    said = await shown.get("/api/v1/overview")
    tiles = page.locator(".tile")
    await expect(tiles.nth(0)).to_contain_text(f"{said['requests']['total']} in all")
    await expect(tiles.nth(1).locator(".value")).to_contain_text("ms")
    await expect(tiles.nth(2).locator(".value")).to_have_text(percent(said["cache"]["hit_rate"]))
    assert 0 < said["cache"]["hit_rate"] < 1
    await expect(page.locator(".chart svg path")).not_to_have_count(0)
    diagram = page.locator(".flow svg")
    await page.get_by_text("The same as a table").click()
    rows = page.locator("tbody tr")
    for each in said["flows"]:
        for name in way_of(each):
            await expect(diagram.get_by_text(name, exact=True)).to_have_count(1)
        row = rows.filter(has_text=way_of(each)[0]).filter(has_text=way_of(each)[2])
        await expect(row.locator("td").last).to_have_text(str(each["count"]))
    await expect(rows).to_have_count(len(said["flows"]))
    await page.close()


async def test_the_playground_streams_an_answer_and_shows_what_was_done_beside_it(shown: Shown) -> None:
    opened = await shown.open("playground")
    page = opened.page
    await page.get_by_label("Question", exact=True).fill("How does a suspension bridge carry its load?")
    await page.get_by_role("button", name="Ask", exact=True).click()
    first = page.locator("article").first
    await expect(first.locator(".answer div")).not_to_be_empty()
    assert await first.get_by_text("Complete after").count() == 0, "the text is shown while it comes"
    await expect(first.get_by_text("Complete after")).to_be_visible()
    [latest] = (await shown.get("/api/v1/decisions?limit=1"))["decisions"]
    fields = first.locator(".mono")
    await expect(fields).to_contain_text(f"x-vsr-selected-model{latest['model']}")
    await expect(fields).to_contain_text(f"x-vsr-selected-category{latest['category']}")
    await expect(first.get_by_text("First text after")).to_be_visible()
    assert len(await first.locator(".answer").inner_text()) > 40
    assert await _right(first.locator(".answer")) < await _left(first.get_by_text("What the router did"))
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.locator("article")).to_have_count(2)
    await expect(page.locator("article").first.get_by_text("from the cache, by")).to_be_visible()
    await opened.picture("playground-answers")
    assert (opened.foreign, opened.errors) == ([], [])
    await page.close()


async def _right(place: Locator) -> float:
    box = await place.bounding_box()
    assert box is not None
    return box["x"] + box["width"]


async def _left(place: Locator) -> float:
    box = await place.bounding_box()
    assert box is not None
    return box["x"]


async def test_the_playground_shows_how_similar_the_question_was(shown: Shown) -> None:
    opened = await shown.open("playground", "phone")
    page = opened.page
    for number, text in enumerate(("What is the capital city of France?", "What's the capital of France?")):
        await page.get_by_label("Question", exact=True).fill(text)
        await page.get_by_label("Question", exact=True).press("Control+Enter")
        await expect(page.locator("article")).to_have_count(number + 1)
        await expect(page.locator("article").first.get_by_text("Complete after")).to_be_visible()
    hit = page.locator("article").first
    await expect(hit.get_by_text("from the cache, by")).to_be_visible()
    [latest] = (await shown.get("/api/v1/decisions?limit=1"))["decisions"]
    similarity = latest["cache"]["similarity"]
    assert (latest["cache"]["kind"], 0.6 < similarity < 1) == ("semantic", True)
    await expect(hit.locator(".chip", has_text="similarity")).to_contain_text(f"{similarity:.2f}"[:4])
    await opened.picture("playground-answers")
    assert await opened.overflow() <= 0
    await page.close()


async def test_a_request_is_explained_as_a_whole(shown: Shown) -> None:
    opened = await shown.open("requests")
    page = opened.page
    said = (await shown.get("/api/v1/decisions?limit=50"))["decisions"]
    rows = page.get_by_role("listitem")
    await expect(rows).to_have_count(len(said))
    asked = next(each for each in said if each["answered_by"] == "model")
    await rows.nth(said.index(asked)).get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    for found in (
        asked["request_id"],
        asked["trace_id"],
        asked["model"],
        asked["category"],
        "Models considered",
        "Time spent by the router",
        "encoder",
    ):
        await expect(dialog.get_by_text(found).first).to_be_visible()
    await opened.picture("explanation", whole=False)
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.close()


async def test_an_entry_is_found_by_meaning_looked_at_and_taken_back(shown: Shown) -> None:
    opened = await shown.open("cache")
    page = opened.page
    await page.get_by_label("Find by meaning").fill("ancient Roman rulers")
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_text("nearest of")).to_be_visible()
    nearest = page.locator(".entry").first
    await expect(nearest).to_contain_text("first emperor of Rome")
    await nearest.get_by_role("button").click()
    await expect(page.get_by_role("button", name="Mark wrong")).to_be_visible()
    await opened.picture("entry", whole=False)
    before = await _entries(shown)
    await page.get_by_role("button", name="Take back", exact=True).click()
    await expect(page.locator(".entry", has_text="first emperor of Rome")).to_have_count(0)
    assert before - await _entries(shown) == {QUESTIONS[2]}
    await page.close()


async def test_an_entry_that_is_marked_wrong_is_gone_and_counted(shown: Shown) -> None:
    assert await shown.question("How many legs has a spider?") == 200
    opened = await shown.open("cache")
    page = opened.page
    await page.locator(".entry", has_text="legs has a spider").get_by_role("button").click()
    await page.get_by_role("button", name="Mark wrong").click()
    await expect(page.get_by_text("Marked wrong: the entry is taken back")).to_be_visible()
    await expect(page.locator(".entry", has_text="legs has a spider")).to_have_count(0)
    assert "How many legs has a spider?" not in await _entries(shown)
    await page.close()


async def test_everything_is_taken_back_only_after_a_question(shown: Shown) -> None:
    opened = await shown.open("cache")
    page = opened.page
    before = await _entries(shown)
    await page.get_by_role("button", name="Take everything back").click()
    await page.get_by_role("button", name="Keep").click()
    assert await _entries(shown) == before != set()
    await page.get_by_role("button", name="Take everything back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take everything back").click()
    await expect(page.get_by_text("The cache is empty")).to_be_visible()
    assert await _entries(shown) == set()
    await page.close()


async def _entries(shown: Shown) -> set[str]:
    """Questions whose answers the cache has."""
    said = await shown.get("/api/v1/response-cache/entries?limit=100&text=true")
    return {each["text"] for each in said["entries"]}


async def test_the_pool_has_every_model_with_health_latency_and_price(shown: Shown) -> None:
    opened = await shown.open("pool")
    models = (await shown.get("/api/v1/overview"))["models"]
    cards = opened.page.locator("section.card:has(.chip)")
    await expect(cards).to_have_count(len(models))
    for place, model in enumerate(models):
        card = cards.nth(place)
        await expect(card.locator("h2")).to_have_text(model["name"])
        await expect(card.locator(".chip")).to_have_text("healthy")
        await expect(card).to_contain_text(price(model["price"]))
        latency = card.locator(".pairs > div:has-text('Latency, median') + div")
        await expect(latency).to_have_text(millis(model["latency_ms"]["p50"]))
    await opened.page.close()


async def test_who_is_not_signed_in_sees_nothing_that_others_wrote(shown: Shown) -> None:
    opened = await tab(shown.stranger, shown.url, "light")
    for path in ("requests", "playground", "cache", "configuration"):
        await opened.page.goto(shown.url + path)
        await expect(opened.page.get_by_role("button", name="Sign in")).to_be_visible()
    await opened.picture("sign-in")
    await opened.page.get_by_label("Token").first.fill("another-word")
    await opened.page.get_by_role("button", name="Sign in").click()
    await expect(opened.page.get_by_role("alert")).to_contain_text("not the router's token")
    assert shown.token not in await opened.page.content()
    await opened.page.close()


async def test_who_signs_in_gets_another_name_and_who_signs_out_asks_nothing_in_any_tab(shown: Shown) -> None:
    opened, other = [await tab(shown.stranger, shown.url, "light") for _ in range(2)]
    page = opened.page
    await page.goto(shown.url + "playground")
    before = await _cookie(shown)
    await page.get_by_label("Token").first.fill(shown.token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    assert page.url == shown.url + "playground"
    after = await _cookie(shown)
    assert [await _is_asked_to_sign_in(shown, each) for each in (before, after)] == [True, False]
    await other.page.goto(shown.url + "requests")
    await other.page.get_by_role("button", name="Sign out").click()
    await expect(other.page.locator("h1")).to_have_text("Live")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("You are not signed in any more")
    await expect(page.locator("article")).to_have_count(0)
    assert opened.errors == []
    assert await _is_asked_to_sign_in(shown, after)
    for each in (opened, other):
        await each.page.close()


async def _cookie(shown: Shown) -> str:
    [cookie] = await shown.stranger.cookies(shown.url)
    return f"{cookie.get('name')}={cookie.get('value')}"


async def _is_asked_to_sign_in(shown: Shown, cookie: str) -> bool:
    async with shown.session.get(shown.url + "requests", headers={"cookie": cookie}) as answer:
        assert answer.status == 200
        return "admin.token_file" in await answer.text()


async def test_a_refused_configuration_is_told_with_the_reason(shown: Shown) -> None:
    opened = await shown.open("configuration")
    page = opened.page
    state = await shown.get("/config/router")
    await expect(page.get_by_text(f"{state['generation']} since the start")).to_be_visible()
    await expect(page.get_by_text(state["policy"])).to_be_visible()
    await page.get_by_label("A configuration to check").fill("default_model: nobody\n")
    await page.get_by_role("button", name="Check").click()
    await expect(page.get_by_text("The router cannot serve with this")).to_be_visible()
    await expect(page.get_by_text("vllm_endpoints: is required")).to_be_visible()
    before = shown.configuration.read_text()
    try:
        await asyncio.to_thread(shown.configuration.write_text, before + "\nnonsense: true\n")
        await expect(page.get_by_role("alert")).to_contain_text("nonsense")
        await opened.picture("refused")
    finally:
        await asyncio.to_thread(shown.configuration.write_text, before)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await page.close()

"""Accessibility of all pages: no axe violations, no horizontal overflow, and full keyboard access."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import get_args

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.conftest import DESKTOP, PHONE, Window
from tests.browser.page_catalogue import CataloguedPage, PageCatalogue, Who, filled_catalogue, logged_in
from tests.browser.page_checks import (
    BrowserErrors,
    accessibility_violations,
    clipped_texts,
    horizontal_overflow,
    tab_through,
)
from tests.support.eventually import until
from tests.support.shops.browser import BrowserShop

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(1200),  # the first test opens every page, at each width
]

NARROW: ViewportSize = {"width": 320, "height": 640}
"""1280 pixels at a zoom of 400 % (WCAG 1.4.10)."""
MIDDLE: ViewportSize = {"width": 768, "height": 1024}
Found = dict[str, list[str]]
# Text spacing that readers may set (WCAG 1.4.12).
SPACED = """
* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
p { margin-bottom: 2em !important }"""


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def catalogue(shop: BrowserShop) -> AsyncIterator[PageCatalogue]:
    made = await filled_catalogue(shop)
    yield made
    await shop.provider_is_away(False)
    async with await shop.program(made.customer) as program:
        await shop.wait_for_state(program, made.orders["waiting"], "confirmed")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def contexts(
    browser: Browser, shop: BrowserShop, catalogue: PageCatalogue
) -> AsyncIterator[dict[Who, BrowserContext]]:
    opened = await logged_in(browser, shop, catalogue)
    yield opened
    for context in opened.values():
        await context.close()


@dataclass
class Seen:
    """The findings of each page. Each page is opened once for all checks."""

    violations: Found = field(default_factory=dict)
    overflows: Found = field(default_factory=dict)
    keyboard: Found = field(default_factory=dict)
    screen_reader: Found = field(default_factory=dict)
    complaints: list[BrowserErrors] = field(default_factory=list)

    async def axe(self, one: CataloguedPage, page: Page) -> None:
        """All rules at both widths; for the dark theme only colour contrast, because nothing else differs."""
        for width, size in (("phone", PHONE), ("desk", DESKTOP)):
            await page.set_viewport_size(size)
            self.violations[f"{one.name}, {width}"] = await accessibility_violations(page)
        await page.emulate_media(color_scheme="dark")
        self.violations[f"{one.name}, dark"] = await accessibility_violations(page, "color-contrast")
        await page.emulate_media(color_scheme="light")

    async def tabs(self, one: CataloguedPage, page: Page) -> None:
        stops = await tab_through(page)
        wrong = [
            f"{stop.tag} {stop.name!r} looks no different with the focus" for stop in stops if not stop.marked
        ]
        wrong += [
            f"{stop.tag} {stop.name!r} has the focus and is not in sight" for stop in stops if not stop.shown
        ]
        if not re.search("skip", stops[0].name, re.IGNORECASE):
            wrong.append(f"the first stop is {stops[0].name!r} and not the way to skip to the content")
        reachable = (
            await page.locator("main").locator("a[href], button, input, select, textarea, summary").count()
        )
        if len(stops) < min(reachable, 3):
            wrong.append(f"only {len(stops)} stops")
        self.keyboard[one.name] = wrong

    async def widths(self, one: CataloguedPage, page: Page) -> None:
        for size in (DESKTOP, MIDDLE, PHONE, NARROW):
            await page.set_viewport_size(size)
            self.overflows[f"{one.name} at {size['width']}"] = [
                *await horizontal_overflow(page),
                *await clipped_texts(page),
            ]
        await page.evaluate(
            "css => { const s = new CSSStyleSheet(); s.replaceSync(css); document.adoptedStyleSheets = [s] }",
            SPACED,
        )
        self.overflows[f"{one.name} at 320, spaced"] = [
            *await horizontal_overflow(page),
            *await clipped_texts(page),
        ]

    async def names(self, one: CataloguedPage, page: Page, titles: dict[str, str]) -> None:
        title = await page.title()
        wrong = [] if title else ["no title"]
        if await page.get_by_role("heading", level=1).count() != 1:
            wrong.append("not one heading of the first level")
        if (language := await page.locator("html").get_attribute("lang")) != "en":
            wrong.append(f"its language is {language}")
        path = one.path.partition("?")[0]
        if titles.setdefault(title, path) != path and path != "/ops/dead-letters":
            wrong.append(f"it is not the only one called {title!r}")
        self.screen_reader[one.name] = wrong


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def seen(contexts: dict[Who, BrowserContext], catalogue: PageCatalogue) -> Seen:
    found, titles = Seen(), dict[str, str]()
    async for one, page in each_page(contexts, catalogue.pages(), found.complaints):
        await found.names(one, page, titles)
        await found.axe(one, page)
        await found.tabs(one, page)
        await found.widths(one, page)
        await page.set_viewport_size(DESKTOP)
    return found


async def each_page(
    contexts: dict[Who, BrowserContext], shown: list[CataloguedPage], complaints: list[BrowserErrors]
) -> AsyncIterator[tuple[CataloguedPage, Page]]:
    """Opens the pages one after the other, in one tab per user. Browser errors are added to `complaints`."""
    tabs = {who: await context.new_page() for who, context in contexts.items()}
    complaints += map(BrowserErrors, tabs.values())
    try:
        for tab in tabs.values():
            await tab.set_viewport_size(DESKTOP)
            # no colour transition in progress
            await tab.emulate_media(color_scheme="light", reduced_motion="reduce")
        for one in shown:
            await tabs[one.who].goto(one.path)
            yield one, tabs[one.who]
    finally:
        for tab in tabs.values():
            await tab.close()


def nothing(found: Found) -> None:
    assert found
    assert not any(found.values()), "\n".join(
        f"{name}: {line}" for name, lines in found.items() for line in lines
    )


async def test_axe_finds_no_accessibility_violation_on_any_page(seen: Seen) -> None:
    nothing(seen.violations)


async def test_no_page_overflows_at_any_width_or_text_spacing(seen: Seen) -> None:
    nothing(seen.overflows)


async def test_the_keyboard_reaches_everything_with_visible_focus(seen: Seen) -> None:
    nothing(seen.keyboard)


async def test_pages_cause_no_browser_errors_and_no_third_party_requests(
    seen: Seen,
) -> None:
    """The console has no violations of the content security policy and no script errors."""
    assert len(seen.complaints) == len(get_args(Who))
    for each in seen.complaints:
        each.none()
        assert {path for status, path in each.responses if status >= 400} <= {"/no/such/page"}


async def test_every_page_has_a_title_and_a_heading(seen: Seen) -> None:
    nothing(seen.screen_reader)


async def test_progress_is_an_ordered_list_with_a_text_per_state(
    contexts: dict[Who, BrowserContext], catalogue: PageCatalogue
) -> None:
    async for one, page in each_page(
        contexts, [s for s in catalogue.pages() if s.name.startswith("order-")], []
    ):
        if one.name == "order-messages":
            continue
        tree = await page.locator("main").aria_snapshot()
        assert "- list" in tree and "- img" not in tree, f"{one.name}: {tree}"
        stops = page.locator("main ol").first.locator(":scope > li")
        assert await stops.count() >= 3, one.name
        for text in await stops.all_inner_texts():
            assert re.search(r"[a-z]{4,}.*\n?.*[a-z]{2,}", text), f"{one.name}: {text!r}"
        assert await page.locator("main ol svg:not([aria-hidden=true])").count() == 0, one.name
    waiting = await contexts["customer"].new_page()
    await waiting.goto(f"/orders/{catalogue.orders['waiting']}")
    await expect(waiting.locator("[aria-current=step]")).to_have_count(1)
    await waiting.close()


async def test_the_theme_follows_the_system_until_one_chooses(window: Window) -> None:
    page = await window(color_scheme="dark")
    await page.goto("/")
    await is_as_light(page, 0, 60)
    await page.emulate_media(color_scheme="light")
    await is_as_light(page, 200, 255)
    await page.get_by_role("button", name="Dark").click()
    await is_as_light(page, 0, 60)
    await page.goto("/basket")
    await is_as_light(page, 0, 60)
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.get_by_role("button", name="System").click()
    await is_as_light(page, 200, 255)


async def is_as_light(page: Page, least: int, most: int) -> None:
    """Waits for the reload after the button: until then the old page responds."""
    await until(lambda: lightness(page), lambda found: least <= found <= most)


async def lightness(page: Page) -> float:
    colours = await page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    numbers = [float(number) for number in re.findall(r"[\d.]+", colours)][:3]
    return sum(numbers) / 3


async def test_animations_stop_with_reduced_motion(
    contexts: dict[Who, BrowserContext], catalogue: PageCatalogue
) -> None:
    page = await contexts["customer"].new_page()
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(f"/orders/{catalogue.orders['waiting']}")
    assert await page.evaluate("document.getAnimations().filter(a => a.playState === 'running').length") == 0
    await page.close()


async def test_a_printed_order_is_one_page_without_buttons(
    contexts: dict[Who, BrowserContext], catalogue: PageCatalogue
) -> None:
    page = await contexts["customer"].new_page()
    await page.emulate_media(media="print", color_scheme="dark")
    for name, order_id in catalogue.orders.items():
        await page.goto(f"/orders/{order_id}")
        for gone in ("header nav", "footer", "button", ".skip"):
            for element in await page.locator(gone).all():
                assert not await element.is_visible(), f"{name}: {gone}"
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert await lightness(page) > 200 or ground == "rgba(0, 0, 0, 0)", name
        assert await page.locator("main ol").first.is_visible(), name
        paper = await page.pdf(format="A4")
        assert len(re.findall(rb"/Type\s*/Page[^s]", paper)) == 1, name
    await page.close()


async def test_the_first_view_is_small_fast_and_stable(window: Window) -> None:
    page = await window()  # measures layout shifts from the beginning
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    await session.send("Network.emulateNetworkConditions", slow)
    sizes: dict[str, float] = {}
    kinds: dict[str, str] = {}
    session.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))
    session.on(
        "Network.loadingFinished",
        lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}),
    )
    await page.goto("/")
    await page.wait_for_load_state("networkidle")
    without_images = sum(size for id_, size in sizes.items() if kinds.get(id_) != "Image")
    assert without_images <= 100_000
    assert await page.evaluate("__shift") <= 0.05
    print(
        f"{without_images:.0f} bytes without pictures; painted after {await page.evaluate('__paint'):.0f} ms"
    )

"""One browser and one shop for all tests of this folder. Each test has browser contexts of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, async_playwright, expect

from journey.devenv.infra.browser import chromium
from journey.devenv.infra.model import Infrastructure
from tests.browser.page_checks import MEASURE_SHIFTS, BrowserErrors
from tests.browser.page_objects import SLOW_MS
from tests.support.shops.browser import BrowserShop, Person, random_client_address, run_browser_shop

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

# Playwright's default timeout of five seconds is too short on a busy machine.
expect.set_options(timeout=SLOW_MS)

shared = pytest_asyncio.fixture(scope="package", loop_scope="package")


@pytest.fixture(scope="session")
def browser_path() -> Path:
    return chromium(print)


@shared
async def browser(browser_path: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        yield launched
        await launched.close()


@shared
async def shop(
    real_infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[BrowserShop]:
    async with run_browser_shop(real_infrastructure, tmp_path_factory.mktemp("street")) as opened:
        yield opened


@shared
async def ada(shop: BrowserShop) -> Person:
    """A customer that is shared by tests that do not change her account."""
    return await shop.register_user("Ada")


@shared
async def olga(shop: BrowserShop) -> Person:
    """A member of staff."""
    return await shop.register_user("Olga", staff=True)


class Windows:
    """Opens isolated windows. Browser errors in any of them fail the test at its end."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self._contexts: list[BrowserContext] = []
        self._complaints: list[BrowserErrors] = []

    async def __call__(self, *, heeded: bool = True, **options: Any) -> Page:
        """`heeded`: browser errors fail the test. False if the test causes errors on purpose."""
        context = await self.context(**options)
        page = await context.new_page()
        if heeded:
            self._complaints.append(BrowserErrors(page))
        return page

    async def context(self, **options: Any) -> BrowserContext:
        usual: dict[str, Any] = {
            "base_url": self._url,
            "viewport": DESKTOP,
            "locale": "en-GB",
            "timezone_id": "UTC",
        }
        usual["reduced_motion"] = "reduce"  # permanent animations would keep a core busy
        options = usual | {"extra_http_headers": random_client_address()} | options
        context = await self._browser.new_context(**options)
        context.set_default_timeout(SLOW_MS)
        await context.add_init_script(MEASURE_SHIFTS)
        self._contexts.append(context)
        return context

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()
        for complaints in self._complaints:
            complaints.none()


Window = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="package")
async def window(browser: Browser, shop: BrowserShop) -> AsyncIterator[Windows]:
    windows = Windows(browser, shop.url)
    yield windows
    await windows.close()

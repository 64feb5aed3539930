"""`make screenshots`: all pages, 390 and 1280 pixels wide, light and dark, in build/screenshots.

It also writes the screenshots that README.md and the documents show.
"""

import asyncio
import html
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, async_playwright

from journey.devenv.infra import resolve
from journey.devenv.infra.browser import chromium
from tests.browser.conftest import ARGUMENTS, DESKTOP, PHONE
from tests.browser.page_catalogue import filled_catalogue, logged_in
from tests.support.shops.browser import run_browser_shop
from tests.support.source_files import ROOT

OUTPUT = ROOT / "build" / "screenshots"
SIZES = {"phone": PHONE, "desk": DESKTOP}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@dataclass(frozen=True)
class DocumentScreenshot:
    """The upper part of a page, or one element of it, as README.md or a document shows it.

    `name` is the page's name in the catalogue of pages; `element` is a selector.
    """

    name: str
    file: str
    height: int
    element: str = ""


README_WIDTH = 1080
DOCUMENT_SCREENSHOTS = (
    DocumentScreenshot("order-refunded", "docs/screenshots/order.png", 672),
    DocumentScreenshot("ops-dead-letters", "docs/screenshots/dead-letters.png", 545),
    DocumentScreenshot("ops-order", "docs/screenshots/order-history.png", 800, "section:has(.waterfall)"),
)


async def take_screenshots(path: Path, folder: Path) -> int:
    """Takes the screenshots and returns their number."""
    taken = 0
    with tempfile.TemporaryDirectory() as directory:
        state_dir = Path(directory)
        found = await resolve.obtain(state_dir, for_tests=True)
        try:
            async with (
                async_playwright() as playwright,
                run_browser_shop(found, state_dir / "street") as shop,
            ):
                browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
                catalogue = await filled_catalogue(shop)
                tabs = {
                    who: await it.new_page()
                    for who, it in (await logged_in(browser, shop, catalogue)).items()
                }
                for shown in catalogue.pages():
                    taken += await _all_forms(tabs[shown.who], shown.path, folder / shown.name)
                    for screenshot in DOCUMENT_SCREENSHOTS:
                        if screenshot.name == shown.name:
                            await _take_document_screenshot(tabs[shown.who], screenshot)
                await contact_sheets(browser, folder)
                await browser.close()
        finally:
            await resolve.release(state_dir)
    return taken


async def _all_forms(page: Page, path: str, stem: Path) -> int:
    await page.goto(path)
    for size, viewport in SIZES.items():
        for scheme in SCHEMES:
            await page.set_viewport_size(viewport)
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.screenshot(path=f"{stem}.{size}.{scheme}.png", full_page=True)
    return len(SIZES) * len(SCHEMES)


async def _take_document_screenshot(page: Page, screenshot: DocumentScreenshot) -> None:
    await page.set_viewport_size({"width": README_WIDTH, "height": screenshot.height})
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    path = ROOT / screenshot.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if screenshot.element:
        await page.locator(screenshot.element).screenshot(path=path)
    else:
        await page.screenshot(path=path)


async def contact_sheets(browser: Browser, folder: Path) -> None:
    """Contact sheets of all pages, one for each width and colour scheme,
    which make inconsistencies visible.
    """
    for size in SIZES:
        for scheme in SCHEMES:
            names = sorted(path.name for path in folder.glob(f"*.{size}.{scheme}.png"))
            figures = "".join(
                "<figure><img "
                f'src="{html.escape(name)}"><figcaption>{html.escape(name)}</figcaption></figure>'
                for name in names
            )
            style = (
                "body{margin:16px;font:14px sans-serif;background:#888;columns:5;column-gap:16px}"
                "figure{margin:0 0 16px;break-inside:avoid}img{width:100%}"
            )
            sheet = folder / f"sheet.{size}.{scheme}.html"
            sheet.write_text(f"<!doctype html><title>{size}, {scheme}</title><style>{style}</style>{figures}")
            page = await browser.new_page(viewport={"width": 1800, "height": 1200})
            await page.goto(sheet.as_uri())
            await page.screenshot(path=sheet.with_suffix(".png"), full_page=True)
            await page.close()


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    path = chromium(print)
    taken = asyncio.run(take_screenshots(path, OUTPUT))
    print(f"{taken} pictures are in {OUTPUT.relative_to(ROOT)}; begin with sheet.desk.light.png")


if __name__ == "__main__":
    main()

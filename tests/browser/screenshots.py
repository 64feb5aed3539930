"""Screenshots of all pages, 390 and 1280 pixels wide, light and dark: `make screenshots` writes build/screenshots."""

import asyncio
import html
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, async_playwright

from journey.devenv.infra import resolve
from journey.devenv.infra.browser import chromium
from tests.browser.browser_shop import run_browser_shop
from tests.browser.conftest import ARGUMENTS, DESK, PHONE
from tests.browser.page_catalogue import filled_catalogue, logged_in
from tests.rules import ROOT

PLACE = ROOT / "build" / "screenshots"
SIZES = {"phone": PHONE, "desk": DESK}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


async def pictures(path: Path, endpoints: Path) -> int:
    """Takes the screenshots and returns their number."""
    taken = 0
    with tempfile.TemporaryDirectory() as directory:
        state_dir = Path(directory)
        found = await resolve.obtain(state_dir, for_tests=True)
        try:
            async with async_playwright() as playwright, run_browser_shop(found, state_dir / "street") as shop:
                browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
                gallery = await filled_catalogue(shop)
                tabs = {who: await it.new_page() for who, it in (await logged_in(browser, shop, gallery)).items()}
                for shown in gallery.pages():
                    taken += await _all_forms(tabs[shown.who], shown.path, endpoints / shown.name)
                await contact_sheets(browser, endpoints)
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


async def contact_sheets(browser: Browser, endpoints: Path) -> None:
    """Contact sheets of all pages, one for each width and colour scheme, which make inconsistencies visible."""
    for size in SIZES:
        for scheme in SCHEMES:
            names = sorted(path.name for path in endpoints.glob(f"*.{size}.{scheme}.png"))
            figures = "".join(
                f'<figure><img src="{html.escape(name)}"><figcaption>{html.escape(name)}</figcaption></figure>'
                for name in names
            )
            style = (
                "body{margin:16px;font:14px sans-serif;background:#888;columns:5;column-gap:16px}"
                "figure{margin:0 0 16px;break-inside:avoid}img{width:100%}"
            )
            sheet = endpoints / f"sheet.{size}.{scheme}.html"
            sheet.write_text(f"<!doctype html><title>{size}, {scheme}</title><style>{style}</style>{figures}")
            page = await browser.new_page(viewport={"width": 1800, "height": 1200})
            await page.goto(sheet.as_uri())
            await page.screenshot(path=sheet.with_suffix(".png"), full_page=True)
            await page.close()


def main() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    path = chromium(print)
    taken = asyncio.run(pictures(path, PLACE))
    print(f"{taken} pictures are in {PLACE.relative_to(ROOT)}; begin with sheet.desk.light.png")


if __name__ == "__main__":
    main()

"""An order whose total is zero: no card, and no text about one."""

import re
from uuid import uuid4

import pytest
from playwright.async_api import expect

from contracts.products import ListProduct
from contracts.values import Money
from tests.browser.conftest import DESKTOP, PHONE, Window
from tests.browser.page_catalogue import give_address
from tests.browser.page_checks import accessibility_violations, horizontal_overflow
from tests.browser.page_objects import headline, log_in, put_into_basket, to_the_checkout
from tests.support.shops.browser import BrowserShop

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]


async def test_a_free_order_is_placed_without_a_card(shop: BrowserShop, window: Window) -> None:
    sku = f"FREE-{uuid4().hex[:6].upper()}"
    free = Money(amount_minor=0, currency="EUR")
    listed = ListProduct(sku=sku, title="A sample", category="odd", price=free)
    await shop.offer(listed, pieces=5)
    grace = await shop.register_user("Grace")
    async with await shop.program(grace) as program:
        await give_address(program)
    page = await window()
    await log_in(page, grace)
    await put_into_basket(page, sku)
    await to_the_checkout(page)
    await expect(page.get_by_role("main")).to_contain_text("There is nothing to pay")
    await expect(page.locator("input[name=card]")).to_have_count(0)
    for size in (PHONE, DESKTOP):
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size(size)
            assert await accessibility_violations(page) == []
            assert await horizontal_overflow(page) == []
    await page.get_by_role("button", name="Place the order").click()
    await headline(page, "confirmed")
    steps = page.get_by_role("list", name="Steps of the order")
    await expect(steps).to_contain_text("Nothing to pay")
    await expect(page.get_by_role("main")).not_to_contain_text(re.compile("card", re.IGNORECASE))
    assert await accessibility_violations(page) == []

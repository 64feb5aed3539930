"""Staff find the payments that need them, and the orders of a customer, without JavaScript on a phone."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import PHONE, Window
from tests.browser.page_objects import log_in
from tests.support.shops.browser import WAIT_S, BrowserShop, Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]


async def test_a_payment_that_needs_staff_is_found_and_settled(
    shop: BrowserShop, window: Window, ada: Person, olga: Person
) -> None:
    async with await shop.program(ada) as program:
        order_id = await shop.order(program, "TEA-GREEN", card="tok_capture_refused")
        await shop.wait_for_state(program, order_id, "needs_attention")
    page = await window(java_script_enabled=False, viewport=PHONE)
    await log_in(page, olga)
    await page.goto("/ops/orders")
    await page.get_by_role("link", name="Payments that need staff").click()
    row = page.get_by_role("row").filter(has=page.locator(f'a[href="/ops/orders/{order_id}"]'))
    await expect(row).to_contain_text("failed")
    await row.locator(f'a[href="/ops/orders/{order_id}"]').click()
    await expect(page).to_have_url(re.compile(order_id))
    await page.goto("/ops/payments")
    await row.get_by_role("link", name="Repeat or settle").click()
    total = await page.get_by_text(re.compile(r"^[\d.]+ EUR$")).first.inner_text()
    await page.get_by_label("What happened").select_option("paid")
    await page.get_by_label("Amount in EUR").fill(total.removesuffix(" EUR"))
    await page.get_by_label("Reference").fill("BANK-2026-0815")
    await page.get_by_role("button", name="Mark as settled").click()
    await page.get_by_role("link", name="Payments that need staff").click()
    await expect(page.get_by_role("heading", name="Payments that need staff")).to_be_visible()
    async with asyncio.timeout(WAIT_S):
        while await page.locator(f'a[href="/ops/orders/{order_id}"]').count():  # payment_svc settles it
            await page.reload()


async def test_a_customers_orders_are_found_by_address_without_script(
    shop: BrowserShop, window: Window, olga: Person
) -> None:
    """user_svc resolves the address for the staff member, and the audit list has the look-up without it."""
    grace = await shop.register_user("Grace")
    async with await shop.program(grace) as program:
        order_id = await shop.order(program, "TEA-GREEN")
        await shop.wait_for_state(program, order_id, "confirmed")
    page = await window(java_script_enabled=False, viewport=PHONE)
    await log_in(page, olga)
    await page.goto("/ops/orders")
    await page.get_by_role("link", name="Find by e-mail address").click()
    field = page.get_by_label("e-mail address")
    await field.fill(f"not.{grace.email}")
    await field.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("No customer has this address")
    await field.fill(grace.email.upper())
    await field.press("Enter")
    await expect(page).to_have_url(re.compile(rf"/ops/orders\?customer={grace.user_id}$"))
    await expect(page.locator(f'a[href="/ops/orders/{order_id}"]')).to_be_visible()
    await page.goto("/ops/audit")
    await expect(page.get_by_role("row").filter(has_text=f"found {grace.user_id}")).to_contain_text("lookup")
    await expect(page.get_by_role("main")).not_to_contain_text(grace.email)

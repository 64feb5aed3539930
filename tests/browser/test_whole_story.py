"""The complete journey of a new customer: with JavaScript, without it, and by keyboard only."""

import re
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PHONE, Window
from tests.browser.page_checks import tab_to
from tests.browser.page_objects import (
    add_to_basket,
    buy,
    give_address,
    headline,
    order_in,
    pay,
    to_the_checkout,
)
from tests.support.eventually import until
from tests.support.shops.browser import WAIT_S, BrowserShop, Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]


async def register(page: Page, shop: BrowserShop) -> Person:
    """Registers on the page, and verifies the address with the link from the e-mail."""
    new = Person("Nora", f"nora.{uuid4().hex[:8]}@example.org", f"her own words {uuid4().hex[:6]}")
    await page.goto("/")
    await page.get_by_role("link", name="Log in").click()
    await page.get_by_role("link", name="Open an account").click()
    await page.get_by_label("E-mail address").fill(new.email)
    await page.get_by_label("Your name").fill(new.name)
    await page.get_by_label("Password", exact=True).fill(new.password)
    await page.get_by_role("button", name="Open account").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("mail", re.IGNORECASE))
    await page.goto(await shop.link_for(new.email, "/proofs"))
    await page.get_by_label("Password", exact=True).fill(new.password)
    await page.get_by_role("button", name="Verify and log in").click()
    await expect(page.get_by_role("link", name="Account")).to_be_visible()
    return new


async def test_a_new_customer_registers_orders_and_cancels(shop: BrowserShop, window: Window) -> None:
    page = await window()
    new = await register(page, shop)
    await page.get_by_role("searchbox", name="Search the shop").fill("kettle")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name=re.compile("Kettle, blue")).first.click()
    await add_to_basket(page)
    await to_the_checkout(page)
    await give_address(page)
    order_id = await pay(page)
    await page.evaluate("globalThis.__mark = 1")
    await headline(page, "confirmed")
    assert await page.evaluate("globalThis.__mark === 1"), "the page was reloaded"
    await until(lambda: has_mail(shop, new.email, "confirmed"), within_s=WAIT_S)
    await page.goto(await shop.link_for(new.email, f"/orders/{order_id}"))
    await headline(page, "confirmed")

    await buy(page, "TEA-GREEN", 2)
    await headline(page, "confirmed")
    await page.get_by_role("button", name=re.compile("Cancel")).click()
    await headline(page, "cancelled")
    refunded = page.get_by_role("main").get_by_text(
        re.compile("refund|money is on its way back|given back", re.I)
    )
    await expect(refunded.first).to_be_visible()
    await until(lambda: has_mail(shop, new.email, "on its way back"), within_s=WAIT_S)
    await page.goto("/orders")
    await expect(page.get_by_role("row").filter(has_text=re.compile("cancelled", re.I))).to_have_count(1)


async def has_mail(shop: BrowserShop, email: str, text: str) -> bool:
    return any(text in subject.lower() for subject in await shop.subjects(email))


async def test_without_javascript_the_shop_works_from_registration_to_log_out(
    shop: BrowserShop, window: Window
) -> None:
    page = await window(java_script_enabled=False, viewport=PHONE)
    new = await register(page, shop)
    await page.goto("/search?q=tea")
    await page.get_by_role("main").get_by_role("link", name=re.compile("green tea", re.I)).first.click()
    await add_to_basket(page)
    await to_the_checkout(page)
    await give_address(page)
    await pay(page)
    await headline(page, "confirmed")  # the page polls until the order is settled
    await page.get_by_role("button", name=re.compile("Cancel")).click()
    await headline(page, "cancelled")
    # entering a URL now would race with the page's own refresh
    await page.get_by_role("link", name="Account").click()
    await expect(page.get_by_text(new.email)).to_be_visible()
    await page.get_by_role("button", name="Log out", exact=True).click()
    await page.goto("/orders")
    await expect(page).to_have_url(re.compile("/login"))


async def test_an_article_is_found_and_paid_by_keyboard_alone(shop: BrowserShop, window: Window) -> None:
    person = await shop.register_user("Kay")
    page = await window()
    await page.goto("/")
    await page.keyboard.press("Tab")
    assert "Skip" in await page.evaluate("document.activeElement.innerText")
    await tab_to(page, "^q$|search")
    await page.keyboard.type("green tea")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/search**")
    await tab_to(page, "green tea")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/p/**")
    await tab_to(page, "add to basket")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main").get_by_role("status")).to_be_visible()
    await tab_to(page, "^basket")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/basket")
    await tab_to(page, "to the checkout")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/login**")
    for label, text in (("e-mail", person.email), ("^password", person.password)):
        await tab_to(page, label)
        await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"^[^?]*/checkout$"))
    for label, text in (
        ("address name", "home"),
        ("recipient", "Kay"),
        ("street", "1 Mill Road"),
        ("postcode", "LS1"),
        ("town", "Leeds"),
        ("country", "GB"),
    ):
        await tab_to(page, label)
        await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("group", name="Payment")).to_be_visible()
    await page.get_by_role("heading", level=1).click()
    await tab_to(page, "that succeeds")
    await page.keyboard.press("Space")
    await tab_to(page, "^pay ")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/orders/**")
    await headline(page, "confirmed")
    assert order_in(page)

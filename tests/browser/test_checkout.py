"""The checkout under double clicks, the back button, a second tab, and an ended session."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from contracts.products import ChangePrice, ListProduct
from contracts.values import Money
from tests.browser.conftest import PHONE, Window
from tests.browser.page_checks import accessibility_violations, horizontal_overflow
from tests.browser.page_objects import (
    buy,
    choose,
    fill_log_in,
    give_address,
    headline,
    log_in,
    order_in,
    pay,
    put_into_basket,
    to_the_checkout,
    type_address,
)
from tests.support.eventually import until
from tests.support.shops.browser import WAIT_S, BrowserShop, Person
from tests.support.shops.gateway import DELIVERY

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]

PAY = re.compile("^Pay ")
ORDER = re.compile(r"/orders/[0-9a-f-]{36}")


async def orders_on(page: Page) -> set[str]:
    """The ids of all orders of the logged-in user."""
    response = await page.request.get("/api/v1/orders")
    return {item["id"] for item in (await response.json())["items"]}


@pytest.mark.parametrize("how", ["double click", "double Enter"])
async def test_paying_twice_makes_one_order(shop: BrowserShop, window: Window, how: str) -> None:
    page = await window()
    await log_in(page, await shop.register_user("Grace"))
    await put_into_basket(page, "TEA-GREEN")
    await to_the_checkout(page)
    await give_address(page)
    await choose(page, "tok_visa")
    button = page.get_by_role("button", name=PAY)
    if how == "double click":
        await button.dblclick()
    else:
        await button.focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
    await expect(page).to_have_url(ORDER)
    await headline(page, "confirmed")
    assert await orders_on(page) == {order_in(page)}


async def test_a_form_sent_twice_at_once_makes_one_order(shop: BrowserShop, window: Window) -> None:
    """As after a double click on a slow network: both requests arrive."""
    page = await window()
    await log_in(page, await shop.register_user("Grace"))
    await put_into_basket(page, "TEA-GREEN")
    await to_the_checkout(page)
    await give_address(page)
    fields = await page.evaluate("() => [...new FormData(document.getElementById('pay'))]")
    form = {name: value for name, value in fields if name != "card"} | {"card": "tok_visa"}
    headers = {"Origin": shop.url, "Sec-Fetch-Site": "same-origin"}
    responses = await asyncio.gather(
        *(page.request.post("/checkout", form=form, headers=headers, max_redirects=0) for _ in range(10))
    )
    assert {response.status for response in responses} == {303}
    assert len({response.headers["location"] for response in responses}) == 1
    assert len(await orders_on(page)) == 1


async def test_back_after_paying_and_pay_again_shows_the_same_order(
    shop: BrowserShop, window: Window
) -> None:
    page = await window()
    await log_in(page, await shop.register_user("Grace"))
    order_id = await buy(page, "TEA-GREEN")
    await page.go_back()
    await page.wait_for_load_state()
    if await page.get_by_role("button", name=PAY).count():
        await choose(page, "tok_visa")
        await page.get_by_role("button", name=PAY).click()
        await expect(page).to_have_url(re.compile(order_id))
    assert await orders_on(page) == {order_id}
    await page.goto("/basket")
    await expect(page.get_by_text("Your basket is empty")).to_be_visible()


async def test_a_basket_changed_in_another_tab_is_not_ordered(shop: BrowserShop, window: Window) -> None:
    stale = await window()
    await log_in(stale, await shop.register_user("Grace"))
    await put_into_basket(stale, "TEA-GREEN")
    await to_the_checkout(stale)
    await give_address(stale)
    await choose(stale, "tok_visa")
    other = await stale.context.new_page()
    await put_into_basket(other, "CUP-WHITE", 2)
    await stale.get_by_role("button", name=PAY).click()
    changed = stale.get_by_role("alert")
    await expect(changed).to_contain_text("You have not ordered yet")
    await expect(changed).to_contain_text("Cup")
    assert await orders_on(stale) == set()
    await pay(stale)
    assert len(await orders_on(stale)) == 1


async def test_a_changed_price_is_shown_before_ordering(shop: BrowserShop, window: Window) -> None:
    sku = f"DEAR-{uuid4().hex[:6].upper()}"
    listed = ListProduct(
        sku=sku, title="A dear thing", category="odd", price=Money(amount_minor=100, currency="EUR")
    )
    await shop.offer(listed, pieces=50)
    page = await window()
    await log_in(page, await shop.register_user("Grace"))
    await until(lambda: shows(page, sku, "1.00"), within_s=WAIT_S)
    await put_into_basket(page, sku)
    await to_the_checkout(page)
    await give_address(page)
    await choose(page, "tok_visa")
    dearer = Money(amount_minor=250, currency="EUR")
    await shop.system.send(OPERATOR, ChangePrice(sku=sku, price=dearer))
    await shop.order_svc_knows(sku, dearer)
    other = await page.context.new_page()
    await until(lambda: shows(other, sku, "2.50"), within_s=WAIT_S)
    await page.get_by_role("button", name=PAY).click()
    await expect(page.get_by_role("alert")).to_contain_text("2.50")
    assert await orders_on(page) == set()
    await pay(page)
    await headline(page, "confirmed")
    await expect(page.get_by_role("main")).to_contain_text("2.50")


async def shows(page: Page, sku: str, price: str) -> bool:
    await page.goto(f"/p/{sku}")
    return price in await page.inner_text("main")


async def test_a_quantity_that_was_typed_counts_without_pressing_update(
    shop: BrowserShop, window: Window
) -> None:
    page = await window()
    await log_in(page, await shop.register_user("Grace"))
    await put_into_basket(page, "TEA-GREEN")
    await page.goto("/basket")
    await page.get_by_label("Quantity").fill("3")
    await page.get_by_role("button", name="To the checkout").click()
    await give_address(page)
    order_id = await pay(page)
    order = await (await page.request.get(f"/api/v1/orders/{order_id}")).json()
    assert [(line["sku"], line["quantity"]) for line in order["lines"]] == [("TEA-GREEN", 3)]


async def test_a_session_that_ends_at_checkout_returns_there_after_login(
    shop: BrowserShop, window: Window
) -> None:
    page = await window()
    grace = await shop.register_user("Grace")
    await log_in(page, grace)
    await put_into_basket(page, "TEA-GREEN", 2)
    await to_the_checkout(page)
    await give_address(page)
    await choose(page, "tok_slow")
    await page.context.clear_cookies(name="__Host-sid")
    await page.get_by_role("button", name=PAY).click()
    await expect(page).to_have_url(re.compile("/login"))
    await fill_log_in(page, grace)
    await expect(page).to_have_url(re.compile("/checkout"))
    await expect(page.get_by_role("main")).to_contain_text("2 ×")
    assert await orders_on(page) == set()
    await pay(page)
    assert len(await orders_on(page)) == 1


async def test_a_guests_basket_is_still_theirs_after_log_in(shop: BrowserShop, window: Window) -> None:
    page = await window()
    await put_into_basket(page, "TEA-BLACK", 2)
    await to_the_checkout(page)
    await expect(page).to_have_url(re.compile("/login"))
    await fill_log_in(page, await shop.register_user("Grace"))
    await give_address(page)
    await expect(page.get_by_role("main")).to_contain_text("2 ×")


@pytest.mark.parametrize(
    "options", [{}, {"java_script_enabled": False, "viewport": PHONE}], ids=["desk", "phone"]
)
async def test_a_typed_address_is_shown_to_customer_and_staff(
    shop: BrowserShop, window: Window, olga: Person, options: dict[str, Any]
) -> None:
    page = await window(**options)
    await log_in(page, await shop.register_user("Grace"))
    await put_into_basket(page, "TEA-GREEN")
    await to_the_checkout(page)
    await give_address(page)
    street = page.get_by_label("Street and number")
    await expect(street).not_to_be_visible()
    await page.get_by_label("Another address").check()
    await expect(street).to_be_visible()
    await choose(page, "tok_visa")
    await page.get_by_role("button", name=PAY).click()
    await expect(page.get_by_role("alert")).to_contain_text("Type the recipient")
    await expect(street).to_have_attribute("aria-invalid", "true")
    if not options:
        assert await accessibility_violations(page) == []
    assert await horizontal_overflow(page) == []
    typed = f"{new_id()} Mill Road"[-30:]
    await type_address(page, "Grace Hopper", typed)
    order_id = await pay(page)
    await headline(page, "confirmed")
    await expect(page.get_by_role("main")).to_contain_text(typed)
    staff = await window()
    await log_in(staff, olga)
    await staff.goto(f"/ops/orders/{order_id}")
    await expect(staff.get_by_role("main")).to_contain_text(typed)
    picked = staff.get_by_role("listitem").filter(has=staff.locator(f'a[href="/ops/orders/{order_id}"]'))
    await until(lambda: is_on_picking_list(staff, order_id), within_s=WAIT_S)
    await expect(picked).to_contain_text(typed)


async def is_on_picking_list(staff: Page, order_id: str) -> bool:
    """Opens the page of the list on which it is; it has the oldest orders first."""
    await staff.goto("/ops/stock#picking")
    while not await staff.locator(f'a[href="/ops/orders/{order_id}"]').count():
        more = staff.locator("#picking").locator("xpath=..").get_by_role("link", name="More")
        if not await more.count():
            return False
        await more.click()
    return True


async def test_an_address_is_chosen_by_keyboard(shop: BrowserShop, window: Window) -> None:
    page = await window()
    grace = await shop.register_user("Grace")
    async with await shop.program(grace) as program:
        for label, street in (("home", "1 Home Street"), ("work", "2 Work Street")):
            address = DELIVERY | {"label": label, "street": street}
            (await program.post("/api/v1/users/me/addresses", json=address)).raise_for_status()
    await log_in(page, grace)
    await put_into_basket(page, "TEA-GREEN")
    await to_the_checkout(page)
    home = page.get_by_label("home")
    await expect(home).to_be_checked()
    await home.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("work")).to_be_checked()
    await pay(page)
    await expect(page.get_by_role("main")).to_contain_text("2 Work Street")


async def test_form_errors_are_summarised_and_link_to_their_fields(window: Window) -> None:
    page = await window(heeded=False)
    await page.goto("/register")
    await page.evaluate("() => { for (const form of document.forms) form.noValidate = true }")
    await page.get_by_label("E-mail address").fill("no address")
    await page.get_by_label("Password", exact=True).fill("short")
    async with page.expect_response(lambda response: response.request.method == "POST") as came:
        await page.get_by_role("main").get_by_role("button").first.click()
    assert (await came.value).status == 422
    summary = page.get_by_role("alert")
    await summary.get_by_role("link").first.click()
    assert await page.evaluate("document.activeElement.tagName") == "INPUT"
    assert await page.get_by_label("E-mail address").input_value() == "no address"
    assert await page.get_by_label("Password", exact=True).input_value() == ""

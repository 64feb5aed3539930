"""Staff refund pieces of a dispatched order without a script; its customer sees what the refund is for."""

import re
from uuid import UUID

import pytest
from playwright.async_api import expect

from chassis.messaging.envelope import OPERATOR
from contracts.orders import DispatchOrder
from tests.browser.conftest import Window
from tests.browser.page_objects import load_until, log_in
from tests.browser.test_operations import fields, sent_again
from tests.support.shops.browser import BrowserShop, Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]


async def test_without_javascript_refunded_pieces_come_back_once(
    shop: BrowserShop, ada: Person, olga: Person, window: Window
) -> None:
    async with await shop.program(ada) as program:
        order_id = await shop.order(program, "CUP-WHITE", 3)
        await shop.wait_for_state(program, order_id, "confirmed")
        await shop.system.send(OPERATOR, DispatchOrder(order_id=UUID(order_id)))
        await shop.wait_for_state(program, order_id, "dispatched")
    page = await window(java_script_enabled=False)
    await log_in(page, olga)
    path = f"/ops/orders/{order_id}/payment"
    await page.goto(path)
    await page.get_by_label("Back to the stock").fill("4")
    await page.get_by_role("button", name="Refund it").click()  # the browser's own check, without a script
    await expect(page).to_have_url(re.compile(path))
    await page.get_by_label("Back to the stock").fill("1")
    await page.get_by_label("Written off").fill("1")
    form = await fields(page)
    await page.get_by_role("button", name="Refund it").click()
    await expect(page).to_have_url(re.compile("said=refund"))
    await sent_again(shop, page, form)
    main = page.get_by_role("main")
    events = [
        main.get_by_role("heading", name=name)
        for name in ("PaymentPartRefunded", "GoodsReturned", "StockReturned")
    ]
    for event in events:
        await load_until(page, f"/ops/orders/{order_id}", event)
    for event in events:
        await expect(event).to_have_count(1)
    await expect(main).to_contain_text("1 × CUP-WHITE back to the stock, 1 × CUP-WHITE written off")
    await load_until(page, path, main.filter(has_text="1 of 3 not refunded yet"))
    customer = await window(java_script_enabled=False)
    await log_in(customer, ada)
    refunded = customer.get_by_role("main").filter(has_text="refunded to your card, for 2 × Cup, white")
    await load_until(customer, f"/orders/{order_id}/messages", refunded)

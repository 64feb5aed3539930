"""The new parts of the staff pages: message flows, time lines, fault switches, and an order's diagrams."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Window
from tests.browser.page_checks import (
    accessibility_violations,
    clipped_texts,
    horizontal_overflow,
    labels_outside_boxes,
)
from tests.browser.page_objects import load_until, log_in, service_row
from tests.support.shops.browser import BrowserShop, Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(300),
]

PAUSED = "paused of notification_svc"
Scheme = Literal["light", "dark"]
both_schemes = pytest.mark.parametrize("scheme", ["light", "dark"])


@asynccontextmanager
async def paused_by_switch(page: Page) -> AsyncIterator[None]:
    """notification_svc, paused from the page; resumed at the end, whatever the test did."""
    await page.goto("/ops")
    await page.get_by_role("button", name=f"Turn on {PAUSED}").click()
    turn_off = page.get_by_role("button", name=f"Turn off {PAUSED}")
    await expect(turn_off).to_be_visible()
    try:
        yield
    finally:
        await page.goto("/ops")
        await turn_off.click()
        await expect(page.get_by_role("button", name=f"Turn on {PAUSED}")).to_be_visible()


async def check_both_widths(page: Page) -> None:
    for size in (PHONE, DESKTOP):
        await page.set_viewport_size(size)
        assert await accessibility_violations(page) == []
        assert await horizontal_overflow(page) == [] and await clipped_texts(page) == []
        assert await labels_outside_boxes(page) == []


@both_schemes
async def test_the_map_with_a_fault_is_accessible(
    shop: BrowserShop, ada: Person, olga: Person, window: Window, scheme: Scheme
) -> None:
    page = await window(color_scheme=scheme)
    await log_in(page, olga)
    async with await shop.program(ada) as program:
        await shop.order(program, "TEA-GREEN")
    async with paused_by_switch(page):
        await expect(page.get_by_text("A fault is turned on:")).to_be_visible()
        await expect(service_row(page, "notification_svc")).to_contain_text("no consumer")
        await expect(page.locator("svg.lines path").first).to_be_attached()
        await check_both_widths(page)


async def test_the_map_with_unknown_figures_is_accessible(
    shop: BrowserShop, olga: Person, window: Window
) -> None:
    page = await window()
    await log_in(page, olga)
    await shop.management.leave()
    try:
        await page.goto("/ops")
        await expect(page.get_by_text("The broker's figures have been unknown")).to_be_visible()
        await expect(page.locator("svg.map").get_by_text("messages: unknown").first).to_be_attached()
        await check_both_widths(page)
        assert "`" not in await page.get_by_role("main").inner_text()
    finally:
        await shop.management.come_back()


async def test_a_service_is_paused_and_resumed_by_its_switch(olga: Person, window: Window) -> None:
    page = await window()
    await log_in(page, olga)
    row = service_row(page, "notification_svc")
    async with paused_by_switch(page):
        await expect(row).to_contain_text("no consumer")
        await expect(page.locator("path.unheard").first).to_be_attached()
    await expect(row).to_contain_text("running")
    await page.goto("/ops/audit")
    entries = page.get_by_role("row").filter(has_text="notification_svc").filter(has_text="paused")
    await expect(entries.first).to_contain_text("off")
    await expect(entries.nth(1)).to_contain_text("on for 10 min")


async def test_orders_appear_as_a_flow_without_a_reload(
    shop: BrowserShop, ada: Person, olga: Person, window: Window
) -> None:
    page = await window()
    await log_in(page, olga)
    await page.goto("/ops")
    await page.evaluate("globalThis.__mark = 1")
    flow = page.locator(".ways title").filter(has_text="gateway to order_svc, ")
    await expect(flow).to_have_text(re.compile(r"gateway to order_svc, (under )?[\d.]+/s"))
    async with await shop.program(ada) as program:
        for _ in range(5):
            await shop.order(program, "TEA-GREEN")
    await expect(flow).to_have_text(re.compile(r"gateway to order_svc, (under 0\.1|0\.[1-9]|[1-9][\d.]*)/s"))
    placed = page.get_by_role("figure").filter(has_text="Orders placed")
    await expect(placed.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile(r"at most (under )?(0\.)?[1-9]")
    )
    assert await page.evaluate("globalThis.__mark === 1")


async def test_without_javascript_switches_and_time_lines_work(olga: Person, window: Window) -> None:
    page = await window(java_script_enabled=False, viewport=PHONE)
    await log_in(page, olga)
    async with paused_by_switch(page):
        await expect(page.get_by_text("A fault is turned on:")).to_be_visible()
        await expect(page.get_by_role("heading", name="The last hour")).to_be_visible()
        assert await page.locator(".chart svg.lines").count() > 6
        assert await page.locator(".sparks svg.lines").count() > 6


@both_schemes
async def test_the_diagrams_of_a_cancelled_order_are_accessible(
    shop: BrowserShop, ada: Person, olga: Person, window: Window, scheme: Scheme
) -> None:
    async with await shop.program(ada) as program:
        order_id = await shop.order(program, "TEA-BLACK")
        await shop.wait_for_state(program, order_id, "confirmed")
        await shop.cancel(program, order_id)
        await shop.wait_for_state(program, order_id, "cancelled")
    page = await window(color_scheme=scheme)
    await log_in(page, olga)
    refund = page.locator(".waterfall tbody tr").filter(has_text="Refund").first
    await load_until(page, f"/ops/orders/{order_id}", refund.locator("rect.bar"))
    await expect(page.get_by_role("heading", name="Where the time went")).to_be_visible()
    diagram = page.get_by_role("img", name="Sequence diagram of the order")
    await expect(diagram.get_by_text("OrderCancelled").first).to_be_visible()
    await page.get_by_text("The diagram as a table").click()
    await check_both_widths(page)

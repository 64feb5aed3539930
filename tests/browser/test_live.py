"""An order's page updates live: without a reload, across outages,
and without missed or repeated announcements.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Window
from tests.browser.page_objects import LivePageReader, buy, fill_log_in, headline, log_in, log_out
from tests.support.eventually import until
from tests.support.shops.browser import WAIT_S, BrowserShop, Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]

# Records every text that live regions announce to screen readers, with its time.
LISTEN = """() => {
  globalThis.__spoken = [];
  const heard = new Map();
  const note = () => { for (const e of document.querySelectorAll('[role=status], [role=alert]')) {
    const text = e.textContent.trim();
    if (text && text !== heard.get(e)) __spoken.push({text, at: performance.now()});
    if (text) heard.set(e, text) } };
  note();
  __spoken.length = 0; // what was there before is old news, said at an hour that nobody knows
  new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
SPOKEN = "() => __spoken.map(({text, at}) => [text, at])"
HIDE = """hidden => {
  const state = () => hidden ? 'hidden' : 'visible';
  Object.defineProperty(document, 'visibilityState', {configurable: true, get: state});
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@asynccontextmanager
async def payment_is_away(shop: BrowserShop) -> AsyncIterator[None]:
    """Stops payment_svc for the duration of the context, so that orders wait for payment."""
    await shop.system.stop("payment_svc")
    try:
        yield
    finally:
        shop.system.start("payment_svc")
        await shop.system.ready(["payment_svc"])


async def seq_of(program: httpx.AsyncClient, order_id: str) -> int:
    response = await program.get(f"/api/v1/orders/{order_id}")
    return int(response.json()["seq"])


async def seen_all(follower: LivePageReader, program: httpx.AsyncClient, order_id: str) -> None:
    """Waits until the order is settled, and asserts that the reader has seen all updates."""
    await until(lambda: at_rest(program, order_id), within_s=WAIT_S)
    await follower.has_seen_all(await seq_of(program, order_id))
    assert await follower.same_page(), "the page was reloaded"


async def at_rest(program: httpx.AsyncClient, order_id: str) -> bool:
    """Whether the order is settled, including its e-mails."""
    url, newest = f"/api/v1/orders/{order_id}/events", {"Last-Event-ID": str(await seq_of(program, order_id))}
    async with program.stream("GET", url, headers=newest) as response:
        return response.status_code == 204


async def connection(page: Page, text: str) -> None:
    await expect(page.locator("[data-line]")).to_have_text(re.compile(text))


async def test_steps_update_live_with_limited_screen_reader_announcements(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    page = await window()
    await log_in(page, ada)
    async with await shop.program(ada) as program:
        async with payment_is_away(shop):
            order_id = await shop.order(program, "KETTLE-BLUE")
            follower = await LivePageReader.at(page, order_id)
            await page.evaluate(LISTEN)
            await expect(page.get_by_role("listitem").filter(has_text="Items reserved").first).to_be_visible()
        await headline(page, "confirmed")
        await seen_all(follower, program, order_id)
    await asyncio.sleep(4)
    spoken = await page.evaluate(SPOKEN)
    assert spoken, "nothing was announced to screen readers"
    gaps = [later[1] - earlier[1] for earlier, later in pairwise(spoken)]
    assert all(gap > 2_500 for gap in gaps), spoken


async def test_a_killed_gateway_loses_and_repeats_no_step(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    page = await window(heeded=False)
    await log_in(page, ada)
    async with await shop.program(ada) as program:
        async with payment_is_away(shop):
            order_id = await shop.order(program, "KETTLE-BLUE")
            reported = asyncio.create_task(numbers_received(program, order_id))
            follower = await LivePageReader.at(page, order_id)
            await until(lambda: holds(shop, order_id), within_s=WAIT_S)
            victim = shop.gateways[shop.balancer.holder(f"/orders/{order_id}/live") or 0]
            await shop.system.kill("gateway", victim)
        try:
            await headline(page, "confirmed")
            await seen_all(follower, program, order_id)
            assert await reported == list(range(1, await seq_of(program, order_id) + 1))
        finally:
            shop.system.start("gateway", victim)
            await shop.system.ready(["gateway" if victim == 1 else f"gateway.{victim}"])


async def numbers_received(program: httpx.AsyncClient, order_id: str) -> list[int]:
    """The ids that an API client receives,
    which resumes with its last id after each break until it gets a 204.
    """
    numbers: list[int] = []
    while True:
        resume = {"Last-Event-ID": str(numbers[-1])} if numbers else {}
        try:
            async with program.stream("GET", f"/api/v1/orders/{order_id}/events", headers=resume) as response:
                if response.status_code == 204:
                    return numbers
                async for line in response.aiter_lines():
                    if line.startswith("id:"):
                        numbers.append(int(line.removeprefix("id:")))
        except httpx.TransportError:
            await asyncio.sleep(0.5)


async def holds(shop: BrowserShop, order_id: str) -> bool:
    return shop.balancer.holder(f"/orders/{order_id}/live") is not None


async def test_the_page_recovers_after_all_gateways_returned_503(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    page = await window(heeded=False)
    await log_in(page, ada)
    async with await shop.program(ada) as program:
        async with payment_is_away(shop):
            order_id = await shop.order(program, "KETTLE-BLUE")
            follower = await LivePageReader.at(page, order_id)
            await connection(page, "^Live")
            shop.balancer.shut()
            await connection(page, "Reconnecting")
        await asyncio.sleep(10)
        shop.balancer.reopen()
        await headline(page, "confirmed")
        await seen_all(follower, program, order_id)


async def test_after_a_network_outage_the_page_announces_the_state_once(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    page = await window(heeded=False)
    await page.clock.install()
    await log_in(page, ada)
    async with await shop.program(ada) as program:
        async with payment_is_away(shop):
            order_id = await shop.order(program, "KETTLE-BLUE")
            follower = await LivePageReader.at(page, order_id)
            await connection(page, "^Live")
            await page.evaluate(LISTEN)
            await page.context.set_offline(True)
            shop.balancer.cut()
            await connection(page, r"Reconnecting – last update \d")
        await shop.wait_for_state(program, order_id, "confirmed")
        await page.clock.fast_forward(60_000)
        await page.context.set_offline(False)
        await headline(page, "confirmed")
        await seen_all(follower, program, order_id)
        await asyncio.sleep(4)
        spoken = [
            text for text, _ in await page.evaluate(SPOKEN) if not text.startswith(("Live", "Reconnecting"))
        ]
        assert len(spoken) <= 2, spoken


async def test_logout_ends_live_updates_in_every_tab(shop: BrowserShop, ada: Person, window: Window) -> None:
    page = await window()
    await log_in(page, ada)
    async with payment_is_away(shop), await shop.program(ada) as program:
        order_id = await shop.order(program, "KETTLE-BLUE")
        tab = await page.context.new_page()
        await tab.goto(f"/orders/{order_id}")
        await connection(tab, "^Live")
        await log_out(page)
        await connection(tab, "^Log in again to follow this order$")
        await until(lambda: none_held(shop), within_s=WAIT_S)
        await tab.get_by_role("link", name="Log in again").click()
        await fill_log_in(tab, ada)
        await expect(tab).to_have_url(re.compile(f"/orders/{order_id}$"))
        await connection(tab, "^Live")


async def test_the_page_of_a_finished_order_sends_no_requests(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    page = await window()
    await page.clock.install()
    await log_in(page, ada)
    order_id = await buy(page, "TEA-GREEN")
    await headline(page, "confirmed")
    async with await shop.program(ada) as program:
        await until(lambda: at_rest(program, order_id), within_s=WAIT_S)
        await asyncio.sleep(3)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.clock.fast_forward(120_000)
        await asyncio.sleep(5)  # the browser waits 2 s of real time before it reconnects
        assert asked == []
        seq = await seq_of(program, order_id)
        again = await program.get(f"/api/v1/orders/{order_id}/events", headers={"Last-Event-ID": str(seq)})
        assert again.status_code == 204


async def test_hidden_tabs_close_their_streams_so_more_pages_load(
    shop: BrowserShop, ada: Person, window: Window
) -> None:
    first = await window()
    await log_in(first, ada)
    async with payment_is_away(shop), await shop.program(ada) as program:
        order_id = await shop.order(program, "KETTLE-BLUE")
        for _ in range(7):
            tab = await first.context.new_page()
            await tab.clock.install()
            await tab.goto(f"/orders/{order_id}", wait_until="commit")
            await expect(tab.get_by_role("heading", level=1)).to_be_visible()
            await tab.wait_for_timeout(300)
            await tab.evaluate(HIDE, True)
            await tab.clock.fast_forward(61_000)
        await until(lambda: none_held(shop), within_s=WAIT_S)
        eighth = await first.context.new_page()
        await eighth.goto(f"/orders/{order_id}")
        await expect(eighth.get_by_role("heading", level=1)).to_be_visible()
        await connection(eighth, "^Live")
        await tab.evaluate(HIDE, False)
        await connection(tab, "^Live")
    await headline(tab, "confirmed")
    await headline(eighth, "confirmed")


async def none_held(shop: BrowserShop) -> bool:
    return shop.balancer.streams("/live") == 0

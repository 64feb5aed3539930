"""The staff pages during faults: figures are correct, and no redrive is lost or runs twice."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import PHONE, Window
from tests.browser.page_objects import load_until, log_in, service_row
from tests.support.eventually import until
from tests.support.shops.browser import BUGGY, WAIT_S, BrowserShop, Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]

MANY, NEWCOMERS = 50, 3
FIRST = re.compile(r"^Redrive \d+…")
REALLY = re.compile(r"^Redrive \d+$")
REDRIVE = re.compile("/ops/redrives/")


@asynccontextmanager
async def the_bug_is_mended(shop: BrowserShop) -> AsyncIterator[None]:
    await shop.restart("inventory_svc", INVENTORY_FAULT_SKU="")
    try:
        yield
    finally:
        await shop.restart("inventory_svc")


async def hit_by_the_bug(shop: BrowserShop, program: httpx.AsyncClient, count: int) -> list[str]:
    """Places orders whose message inventory_svc dead-letters, and waits until it has."""
    before = await dead(shop)
    orders = [await shop.order(program, BUGGY) for _ in range(count)]
    await until(lambda: are_dead(shop, before + count), within_s=WAIT_S)
    return orders


async def dead(shop: BrowserShop) -> int:
    return (await shop.system.dead())["inventory_svc"]


async def are_dead(shop: BrowserShop, count: int) -> bool:
    return await dead(shop) >= count


async def are_left(shop: BrowserShop, count: int) -> None:
    """Wait until so many are left: the broker's figures lag a few seconds behind."""
    await until(lambda: dead(shop), lambda left: left == count, within_s=WAIT_S)


Form = tuple[str, dict[str, str]]


async def fields(page: Page) -> Form:
    """The action of the form in the page's main part, and the fields that it would submit."""
    form = page.get_by_role("main").locator("form[method=post]").first
    found = {}
    for field in await form.locator("input, select").all():
        found[str(await field.get_attribute("name"))] = await field.input_value()
    return str(await form.get_attribute("action")), found


async def sent_again(shop: BrowserShop, page: Page, form: Form) -> str:
    """Submits the form again, like a second click, and returns the target of the redirect."""
    path, found = form
    own = {"Origin": shop.url, "Sec-Fetch-Site": "same-origin"}
    response = await page.request.post(path, form=dict(found), headers=own, max_redirects=0)
    assert response.status == 303, await response.text()
    return response.headers["location"]


def tally(page: Page, name: str) -> Locator:
    """The number with this label on the page of a redrive."""
    return page.locator(".tallies > div").filter(has=page.get_by_text(name, exact=True)).locator("dd")


async def numbers(page: Page) -> dict[str, int]:
    """Reads all numbers at once, because the page may change between reads."""
    lines = [line for line in (await page.locator(".tallies").inner_text()).splitlines() if line.strip()]
    return {name: int(number.replace(",", "")) for name, number in zip(lines[::2], lines[1::2], strict=True)}


async def asked_about_the_group(page: Page) -> int:
    """Opens the page that confirms a redrive, and returns its number of dead letters."""
    group = page.get_by_role("listitem").filter(has_text="inventory_svc").filter(has_text="RuntimeError")
    link = group.get_by_role("link", name=FIRST).first

    async def is_listed() -> bool:
        """The page says that the dead letters are unknown while the broker takes longer to return them."""
        await page.goto("/ops/dead-letters")
        return await link.count() > 0

    await until(is_listed, within_s=WAIT_S)
    await link.click()
    button = page.get_by_role("button", name=REALLY)
    await expect(page.get_by_role("main")).to_contain_text("inventory_svc.events")
    return int(re.sub(r"\D", "", await button.inner_text()))


async def refreshes_itself(page: Page) -> bool:
    """Whether the page refreshes itself: only while its content may change."""
    return await page.locator("meta[http-equiv=refresh]").count() > 0


async def settled(page: Page) -> dict[str, int]:
    """The final numbers of a redrive. Reloads the page until it is finished, as without JavaScript."""
    await expect(page).to_have_url(REDRIVE)  # Chromium refuses to reload a page during a navigation
    async with asyncio.timeout(90):
        while True:
            await page.reload()
            found = await numbers(page)
            assert found["Sent"] == sum(
                found[f"of these {fate}"] for fate in ("handled", "failed again", "under way")
            )
            assert found["Chosen"] == found["Sent"] + found["Not yet sent"], found
            if not await refreshes_itself(page):
                assert found["Not yet sent"] == found["of these under way"] == 0, found
                return found
            await asyncio.sleep(0.5)


async def test_without_javascript_fifty_dead_letters_are_redriven_without_newer_ones(
    shop: BrowserShop, ada: Person, olga: Person, window: Window
) -> None:
    page = await window(java_script_enabled=False)
    await log_in(page, olga)
    async with await shop.program(ada) as program:
        orders = await hit_by_the_bug(shop, program, MANY)
        chosen = await asked_about_the_group(page)
        assert chosen >= MANY
        late = await hit_by_the_bug(shop, program, NEWCOMERS)
        async with the_bug_is_mended(shop):
            form = await fields(page)
            await page.get_by_role("button", name=REALLY).click()
            await expect(page).to_have_url(REDRIVE)
            assert page.url.endswith(await sent_again(shop, page, form))
            found = await settled(page)
            assert found == {
                **found,
                "Chosen": chosen,
                "of these handled": chosen,
                "of these failed again": 0,
            }
            for order_id in orders:
                await shop.wait_for_state(program, order_id, "confirmed")
            await are_left(shop, NEWCOMERS)
            for order_id in late:
                await shop.wait_for_state(program, order_id, "placed")

            assert page.url.endswith(await sent_again(shop, page, form))
            await are_left(shop, NEWCOMERS)
            assert await asked_about_the_group(page) == NEWCOMERS
            await page.get_by_role("button", name=REALLY).click()
            assert (await settled(page))["of these handled"] == NEWCOMERS
            for order_id in late:
                await shop.wait_for_state(program, order_id, "confirmed")
            await are_left(shop, 0)
    await page.goto("/ops/audit")
    rows = page.get_by_role("row").filter(has_text=str(olga.user_id)).filter(has_text="redrive")
    assert await rows.count() >= MANY + NEWCOMERS
    without = page.get_by_role("main").filter(has_not_text="RuntimeError")
    await load_until(page, "/ops/dead-letters", without)  # the pages cache dead letters


async def test_dead_letters_that_fail_again_are_counted_as_failed(
    shop: BrowserShop, ada: Person, olga: Person, window: Window
) -> None:
    page = await window()
    await log_in(page, olga)
    async with await shop.program(ada) as program:
        await hit_by_the_bug(shop, program, 2)
        chosen = await asked_about_the_group(page)
        await page.get_by_role("button", name=REALLY).click()
        await expect(tally(page, "of these failed again")).to_have_text(str(chosen))
        found = await numbers(page)
        assert (found["Sent"], found["of these handled"]) == (chosen, 0)


async def test_without_javascript_a_repeated_receipt_form_counts_once(
    shop: BrowserShop, olga: Person, window: Window
) -> None:
    page = await window(java_script_enabled=False)
    await log_in(page, olga)
    await page.goto("/ops/stock")
    received = page.get_by_role("row").filter(has_text="KETTLE-BLUE").locator("[data-label=Received]")
    before = int((await received.inner_text()).replace(",", ""))
    await page.get_by_label("Article").fill("KETTLE-BLUE")
    await page.get_by_label("Pieces").fill("7")
    form = await fields(page)
    await page.get_by_role("button", name="Count them in").click()
    await expect(page).to_have_url(re.compile("received="))
    await sent_again(shop, page, form)

    async def counted() -> int:
        await page.goto("/ops/stock")
        return int((await received.inner_text()).replace(",", ""))

    await until(counted, lambda now: now == before + 7, within_s=WAIT_S)


async def test_the_map_shows_outages_and_recoveries_within_seconds(
    shop: BrowserShop, olga: Person, window: Window
) -> None:
    page = await window()
    await log_in(page, olga)
    await page.goto("/ops")
    await page.evaluate("globalThis.__mark = 1")
    row = service_row(page, "notification_svc")
    await expect(row).to_contain_text("running")
    await shop.system.stop("notification_svc")
    await expect(row).to_contain_text("no consumer")
    await expect(page.get_by_role("main").get_by_text(re.compile("notification_svc:")).first).to_be_visible()
    shop.system.start("notification_svc")
    await shop.system.ready(["notification_svc"])
    await expect(row).to_contain_text("running")
    assert await page.evaluate("globalThis.__mark === 1")


async def test_without_broker_metrics_the_map_shows_unknown_instead_of_zero(
    shop: BrowserShop, olga: Person, window: Window
) -> None:
    page = await window()
    await log_in(page, olga)
    await page.goto("/ops")
    row = service_row(page, "order_svc")
    await expect(row.locator("[data-label=Ready]")).to_have_text(re.compile(r"\d"))
    await shop.management.leave()
    try:
        await expect(page.get_by_role("main")).to_contain_text("unknown since")
        await page.reload()
        await expect(row.locator("[data-label=Ready]")).not_to_have_text(re.compile(r"\d"))
        await expect(page.get_by_role("main")).to_contain_text("unknown since")
    finally:
        await shop.management.come_back()
    await expect(page.get_by_role("main")).not_to_contain_text("unknown since")


async def test_an_order_timeline_is_complete_and_message_links_stay_valid(
    shop: BrowserShop, ada: Person, olga: Person, window: Window
) -> None:
    async with await shop.program(ada) as program:
        order_id = await shop.order(program, "TEA-GREEN")
        await shop.wait_for_state(program, order_id, "confirmed")
    page = await window()
    await log_in(page, olga)
    await page.goto("/ops/orders")
    await page.get_by_role("searchbox").or_(page.get_by_label("Order id")).first.fill(order_id)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(order_id))
    reported = page.locator("ol.story > li")
    assert "PlaceOrder" in await reported.first.inner_text()
    await expect(page.get_by_role("main")).to_contain_text("StockReserved")
    await reported.nth(3).get_by_title("A link to this message").click()
    chosen = page.locator("li.chosen")
    await expect(chosen).to_be_in_viewport()  # a reload returns to the same page
    name = await chosen.get_by_role("heading").inner_text()
    await page.reload()
    assert await chosen.get_by_role("heading").inner_text() == name
    await expect(chosen).to_be_in_viewport()


async def test_an_orders_diagrams_need_no_script(
    shop: BrowserShop, window: Window, ada: Person, olga: Person
) -> None:
    async with await shop.program(ada) as program:
        order_id = await shop.order(program, "KETTLE-BLUE")
        await shop.wait_for_state(program, order_id, "confirmed")
    page = await window(java_script_enabled=False, viewport=PHONE)
    await log_in(page, olga)
    await page.goto(f"/ops/orders/{order_id}")
    authorize = page.locator(".waterfall tbody tr").filter(has_text="Authorize").last
    await expect(authorize).to_contain_text(" effect")
    bar = authorize.locator("rect.effect")
    chart = await authorize.locator("svg").bounding_box()
    drawn = await bar.bounding_box()
    assert chart is not None and drawn is not None
    assert chart["x"] <= drawn["x"] and drawn["x"] + drawn["width"] <= chart["x"] + chart["width"] + 1
    assert chart["width"] <= PHONE["width"]
    diagram = page.get_by_role("img", name="Sequence diagram of the order")
    await expect(diagram.get_by_text("outside", exact=True)).to_be_visible()
    await page.get_by_text("The diagram as a table").click()
    row = page.locator("#sequence-table tr").filter(has_text="OrderPlaced").first
    await expect(row).to_contain_text("order_svc")

"""The order pages without JavaScript: complete, private to each customer, and with escaped text."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import httpx
import pytest

from contracts import orders
from contracts.orders import RejectReason
from contracts.roles import Role
from contracts.values import RequestedLine
from gateway.orders.timeline import OrderSubmitted
from tests.support.one_title_catalogue import one_title_catalogue
from tests.support.order_outcomes import ADA, ORDER, OUTCOMES, PLACED, SUBMIT
from tests.support.shops.gateway import GatewayFixture, running
from tests.support.timeline_fixtures import store_timeline

PAGE = f"/orders/{ORDER}"
SEND_BARE = replace(SUBMIT, lines=(), total=None)
EVIL = '"><img src=x onerror=alert(1)> {{7*7}} \u202egnp'


@pytest.fixture
async def gateway() -> AsyncIterator[GatewayFixture]:
    async with running(
        GatewayFixture(apps={"product_svc": one_title_catalogue(lambda: "Kettle, blue")})
    ) as gateway:
        yield gateway


async def page(gateway: GatewayFixture, way: str) -> str:
    await store_timeline(gateway, OUTCOMES[way])
    response = await (await gateway.logged_in()).get(PAGE)
    assert response.status_code == 200, response.text
    return response.text


class Reading(HTMLParser):
    """Parses a page into its elements, with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


async def test_an_order_is_a_list_of_steps_with_states(gateway: GatewayFixture) -> None:
    for way in OUTCOMES:
        html = await page(gateway, way)
        seen = Reading(html)
        stops = [li for li in seen.all("li") if "stop" in (li.get("class") or "")]
        assert len(stops) >= 5
        assert len([li for li in stops if li.get("aria-current") == "step"]) == 1
        assert len(re.findall(r'class="state">[^<]+<', html)) == len(stops)
        assert all(svg.get("aria-hidden") == "true" for svg in seen.all("svg"))
        assert not [attributes for _, attributes in seen.elements if "style" in attributes]


async def test_times_are_human_and_machine_readable(gateway: GatewayFixture) -> None:
    seen = Reading(await page(gateway, "paying"))
    assert "14:02:09 UTC" in seen.text
    assert "2026-03-01T14:02:09+00:00" in [time.get("datetime") for time in seen.all("time")]


async def test_without_javascript_the_page_refreshes_until_the_order_ends(
    gateway: GatewayFixture,
) -> None:
    refreshing = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
    assert refreshing in await page(gateway, "paying")
    assert refreshing not in await page(gateway, "refunded")


async def test_the_live_region_is_initially_empty(gateway: GatewayFixture) -> None:
    assert '<p class="unseen" role="status"></p>' in await page(gateway, "paying")


async def test_the_titles_come_from_the_catalogue(gateway: GatewayFixture) -> None:
    assert "Kettle, blue" in await page(gateway, "paying")


def bought_as(title: str) -> tuple[Any, ...]:
    """An order that was placed with this title."""
    lines = tuple(line.model_copy(update={"title": title}) for line in PLACED.lines)
    return (SUBMIT, OrderSubmitted, PLACED.model_copy(update={"lines": lines}))


async def test_an_order_shows_the_title_under_which_it_was_bought(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, bought_as("Kettle, as bought"))
    ada = await gateway.logged_in()
    html = (await ada.get(PAGE)).text
    assert "Kettle, as bought" in html and "Kettle, blue" not in html
    assert "title has changed since" in html and "current title" not in html
    shown = (await ada.get(f"/api/v1/orders/{ORDER}")).json()["lines"]
    assert [line["title"] for line in shown] == ["Kettle, as bought"] * len(PLACED.lines)
    assert [line["price"]["amount_minor"] for line in shown] == [
        line.price.amount_minor for line in PLACED.lines
    ]


async def test_ordered_items_are_shown_after_leaving_the_catalogue() -> None:
    async with running(GatewayFixture()) as gateway:  # while the catalogue is unavailable
        await store_timeline(gateway, bought_as("Kettle, as bought"))
        html = (await (await gateway.logged_in()).get(PAGE)).text
    assert "Kettle, as bought" in html and "cannot be shown" not in html
    assert "/p/KETTLE-BLUE" not in html


def refused(*lines: RequestedLine) -> orders.OrderRejected:
    reason = RejectReason.TOTAL_CHANGED
    return orders.OrderRejected(
        order_id=ORDER, customer_id=ADA, reason=reason, detail="another price", lines=lines
    )


ASKED_FOR = tuple(
    RequestedLine(
        sku=line.sku, quantity=line.quantity, price=line.price.times(2), title=f"{line.sku} back then"
    )
    for line in PLACED.lines
)


async def test_a_rejected_order_shows_its_items_with_former_titles(
    gateway: GatewayFixture,
) -> None:
    """An API client's order, which has no prices.

    The page does not fill in current values for unknown ones.
    """
    unknown = RequestedLine(sku="NO-SUCH-THING", quantity=3)
    await store_timeline(gateway, (SEND_BARE, OrderSubmitted, refused(*ASKED_FOR, unknown)))
    ada = await gateway.logged_in()
    html = (await ada.get(PAGE)).text
    assert all(f"{line.sku} back then" in html for line in ASKED_FOR) and "Kettle, blue" not in html
    assert "€59.80" in html and "NO-SUCH-THING" in html and "unknown" in html and "current title" not in html
    order = (await ada.get(f"/api/v1/orders/{ORDER}")).json()
    assert [line["title"] for line in order["requested"]] == [*(line.title for line in ASKED_FOR), None]
    assert order["requested"][2]["price"] is None and order["lines"] == []


async def test_a_rejected_order_keeps_the_prices_seen_at_checkout(
    gateway: GatewayFixture,
) -> None:
    await store_timeline(gateway, (SUBMIT, OrderSubmitted, refused(*ASKED_FOR)))
    ada = await gateway.logged_in()
    html = (await ada.get(PAGE)).text
    assert "KETTLE-BLUE back then" in html and "€29.90" in html and "current title" not in html
    order = (await ada.get(f"/api/v1/orders/{ORDER}")).json()
    assert [line["price"]["amount_minor"] for line in order["lines"]] == [2990, 420] and order[
        "requested"
    ] == []


async def test_a_current_title_is_labelled_as_current(gateway: GatewayFixture) -> None:
    """An order from before orders stored titles."""
    html = await page(gateway, "paying")
    assert "Kettle, blue" in html and "current title" in html


async def test_without_the_catalogue_the_rest_of_the_page_works() -> None:
    async with running(GatewayFixture()) as gateway:
        html = await page(gateway, "paying")
    assert "titles cannot be shown" in html
    assert "KETTLE-BLUE" in html
    assert "Taking payment" in html


async def test_an_order_belongs_to_its_customer(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    eve = await gateway.logged_in("eve@example.org")
    staff = await gateway.logged_in("boss@example.org", Role.STAFF)
    for path in (PAGE, f"{PAGE}/messages", f"{PAGE}/live"):
        assert (await eve.get(path)).status_code == 404
        guest = await gateway.browser().get(path)
        assert guest.status_code in (303, 401)
    assert (await eve.post(f"{PAGE}/cancellation")).status_code == 404
    assert (await staff.get(PAGE)).status_code == 200
    assert "Cancel this order" not in (await staff.get(PAGE)).text, "only its customer can"


async def test_a_guest_comes_back_after_logging_in(gateway: GatewayFixture) -> None:
    assert (await gateway.browser().get(PAGE)).headers["location"] == f"/login?next={PAGE}"


@pytest.mark.parametrize(
    "path", ["/orders/7", f"/orders/{ORDER.hex}", f"/orders/{str(ORDER).upper()}", "/orders/x/live"]
)
async def test_an_order_has_one_canonical_url(gateway: GatewayFixture, path: str) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    assert (await (await gateway.logged_in()).get(path)).status_code == 404


async def test_a_cancellation_is_passed_on_and_shown(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    browser = await gateway.logged_in()
    for _ in range(2):
        response = await browser.post(f"{PAGE}/cancellation")
        assert (response.status_code, response.headers["location"]) == (303, PAGE)
    assert "Cancellation requested" in (await browser.get(PAGE)).text
    assert len({wire_message.message_id for wire_message in gateway.sent(orders.CancelOrder)}) == 1


async def test_a_late_cancellation_is_explained(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["dispatched"])
    response = await (await gateway.logged_in()).post(f"{PAGE}/cancellation")
    assert response.status_code == 409
    assert "too late to cancel" in response.text
    assert not gateway.sent(orders.CancelOrder)


async def test_an_unpublishable_cancellation_is_explained(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    browser = await gateway.logged_in()
    gateway.broker.away = True
    response = await browser.post(f"{PAGE}/cancellation")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "press the button again" in response.text


async def test_the_order_list_is_a_table_with_links(gateway: GatewayFixture) -> None:
    ids = [UUID(int=ORDER.int + (number << 80)) for number in range(25)]
    for order_id in ids:
        await store_timeline(gateway, OUTCOMES["refunded"], order_id)
    browser = await gateway.logged_in()
    first = (await browser.get("/orders")).text
    assert first.count('<th scope="row"><a href="/orders/') == 20
    assert "Cancelled and refunded" in first
    older = re.search(r'href="(/orders\?after=[^"]+)"', first)
    assert older
    second = (await browser.get(older[1])).text
    listed = re.findall(r'<th scope="row"><a href="/orders/([^"]+)"', first + second)
    assert listed == [str(order_id) for order_id in reversed(ids)]
    assert (
        "You have not ordered anything yet"
        in (await (await gateway.logged_in("eve@example.org")).get("/orders")).text
    )


async def test_every_entry_has_a_plain_description(gateway: GatewayFixture) -> None:
    timeline = await store_timeline(gateway, OUTCOMES["refunded"])
    text = Reading((await (await gateway.logged_in()).get(f"{PAGE}/messages")).text).text
    assert "The refund to your card has been issued." in text
    assert text.count("UTC") == timeline.seq
    assert not [entry.type for entry in timeline.told if "." in entry.type and entry.type in text]


async def test_a_title_is_inert_text() -> None:
    async with running(GatewayFixture(apps={"product_svc": one_title_catalogue(lambda: EVIL)})) as gateway:
        html = await page(gateway, "paying")
    seen = Reading(html)
    assert "{{7*7}}" in seen.text
    assert "<img src=x onerror=alert(1)>" in seen.text
    assert not [img for img in seen.all("img") if img.get("src") == "x"]
    assert re.search(r"<bdi>[^§]*\u202e[^§]*</bdi>", html), "a bidi override ends with the title"


async def test_nothing_of_an_order_stays_in_the_browser(gateway: GatewayFixture) -> None:
    await store_timeline(gateway, OUTCOMES["paying"])
    browser = await gateway.logged_in()
    responses: list[httpx.Response] = [
        await browser.get(path) for path in ("/orders", PAGE, f"{PAGE}/messages")
    ]
    assert [response.headers["Cache-Control"] for response in responses] == ["no-store"] * 3

"""What customers see of an order later: its tracking reference, and its items after their withdrawal."""

from dataclasses import replace
from itertools import permutations

import pytest

from contracts import orders
from gateway.orders.messages import describe_entry
from product_svc.product import ProductStatus
from tests.support.order_outcomes import CONFIRMED, DISPATCHED, ORDER, OUTCOMES, PLACED, TRACKED, replay
from tests.support.shops.gateway import GatewayFixture, running
from tests.support.shops.gateway_with_services import HOME, KETTLE, GatewayWithServices, Page, add_to_basket
from tests.support.timeline_fixtures import store_timeline

OTHER = TRACKED.model_copy(update={"tracking": "RR999999999DE"})


@pytest.mark.parametrize("arrival", [*permutations([CONFIRMED, DISPATCHED, TRACKED])])
def test_the_reference_is_known_in_every_order_of_arrival(arrival: tuple[orders.OrderConfirmed, ...]) -> None:
    timeline, _ = replay(PLACED, *arrival)
    assert timeline.tracking == TRACKED.tracking
    assert f"The tracking reference of your parcel is {TRACKED.tracking}." in [
        describe_entry(entry, timeline) for entry in timeline.told
    ]


def test_the_latest_reference_counts_even_if_it_arrives_first() -> None:
    first, _ = replay(PLACED, DISPATCHED, TRACKED, OTHER)
    late, _ = replay(PLACED, DISPATCHED, OTHER)
    earlier = replace(late.told[-1], seq=late.seq + 1, at=late.told[0].at, detail=TRACKED.tracking)
    overtaken = replace(late, told=(*late.told, earlier))
    assert first.tracking == overtaken.tracking == OTHER.tracking


async def test_page_and_api_show_the_tracking_reference() -> None:
    async with running(GatewayFixture()) as gateway:
        await store_timeline(gateway, OUTCOMES["dispatched and tracked"])
        page = Page(await (await gateway.logged_in()).get(f"/orders/{ORDER}"))
        assert f"Tracking reference {TRACKED.tracking} Order id" in page.text
        assert f"Tracking reference: {TRACKED.tracking}." in page.text
        shown = (await gateway.program().get(f"/api/v1/orders/{ORDER}")).json()
        assert shown["tracking"] == TRACKED.tracking


async def test_an_order_survives_the_withdrawal_of_its_article() -> None:
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, "Kettle, blue", cents=2990)
    customer = await gateway.logged_in_customer()
    await add_to_basket(customer, KETTLE, 2)
    await customer.post("/account/addresses", data=HOME | {"next": "/checkout"})
    form = Page(await customer.get("/checkout")).form("/checkout") | {"card": "tok_visa"}
    order = (await customer.post("/checkout", data=form)).headers["Location"]
    await gateway.offer_product(KETTLE, "Kettle, blue", cents=2990, status=ProductStatus.WITHDRAWN)
    page = Page(await customer.get(order))
    assert "Kettle, blue" in page.text and "€29.90" in page.text and "€59.80" in page.text
    assert "no longer sold" in page.text
    assert "€59.80" in Page(await customer.get("/orders")).text
    for path in (f"{order}/messages", f"/p/{KETTLE}"):
        assert (await customer.get(path)).status_code == 200
    shown = (await customer.get(f"/api/v1{order}")).json()
    assert shown["lines"][0]["title"] == "Kettle, blue"

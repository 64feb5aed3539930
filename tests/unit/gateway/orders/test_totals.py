"""The total of an order is computed in one place, shown everywhere, and may be zero."""

from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from contracts import orders, values
from contracts.values import Money
from order_svc.price import Price
from order_svc.service import order_service
from tests.support.decision_tables import outcome_of
from tests.support.shops.gateway import DELIVERY, GatewayFixture
from tests.support.shops.gateway_with_services import (
    HOME,
    KETTLE,
    GatewayWithServices,
    Page,
    add_to_basket,
    redirects_to,
)


async def shopping(cents: int, currency: str = "EUR") -> tuple[GatewayWithServices, httpx.AsyncClient]:
    """A customer at the checkout with two of one article, each for this price in minor units."""
    gateway = GatewayWithServices()
    await gateway.offer_product(KETTLE, cents=cents, currency=currency)
    customer = await gateway.logged_in_customer()
    await add_to_basket(customer, KETTLE, 2)
    await customer.post("/account/addresses", data=HOME | {"next": "/checkout"})
    return gateway, customer


def placed(gateway: GatewayFixture) -> orders.PlaceOrder:
    [wire_message] = gateway.sent(orders.PlaceOrder)
    return orders.PlaceOrder.model_validate_json(wire_message.body)


def decided(command: orders.PlaceOrder, price: Money) -> Any:
    """What order_svc emits for the order."""
    aggregate = next(each for each in order_service().aggregates if each.kind == "orders")
    prices = {line.sku: Price(revision=1, money=price) for line in command.lines}
    [event] = outcome_of(aggregate, [command], prices).emits
    return event


async def checked_out(customer: httpx.AsyncClient, **chosen: str) -> httpx.Response:
    form = Page(await customer.get("/checkout")).form("/checkout")
    return await customer.post("/checkout", data=form | chosen)


@pytest.mark.parametrize(
    ("cents", "currency", "each", "twice"),
    [
        (129_950, "EUR", "€1,299.50", "€2,599.00"),
        (750, "JPY", "750 JPY", "1,500 JPY"),
        (6_170, "KWD", "6.170 KWD", "12.340 KWD"),
        (0, "EUR", "€0.00", "€0.00"),
    ],
)
async def test_every_page_shows_the_currency_s_decimals(
    cents: int, currency: str, each: str, twice: str
) -> None:
    gateway, customer = await shopping(cents, currency)
    for path in (f"/p/{KETTLE}", "/", "/c/kitchen", "/search?q=kettle"):
        assert each in Page(await customer.get(path)).text, path
    for path in ("/basket", "/checkout"):
        assert twice in Page(await customer.get(path)).text, path
    order = (await checked_out(customer, card="tok_visa")).headers["Location"]
    for path in (order, "/orders"):
        assert twice in Page(await customer.get(path)).text, path
    assert decided(placed(gateway), Money(amount_minor=cents, currency=currency)).total == Money(
        amount_minor=2 * cents, currency=currency
    )


async def test_a_free_order_is_placed_without_a_card() -> None:
    gateway, customer = await shopping(0)
    page = Page(await customer.get("/checkout"))
    assert "There is nothing to pay" in page.text and "Place the order" in page.text
    assert not [tag for tag, given in page.tags if given.get("name") == "card"]
    response = await checked_out(customer)
    command = placed(gateway)
    assert redirects_to(response, f"/orders/{command.order_id}")
    assert command.card_token == orders.NO_CARD
    assert command.total_seen == Money(amount_minor=0, currency="EUR")
    assert isinstance(decided(command, Money(amount_minor=0, currency="EUR")), orders.OrderPlaced)


async def test_a_free_order_is_rejected_after_a_price_rise() -> None:
    gateway, customer = await shopping(0)
    await checked_out(customer)
    rejected = decided(placed(gateway), Money(amount_minor=2990, currency="EUR"))
    assert rejected.reason is orders.RejectReason.TOTAL_CHANGED


async def test_only_a_free_order_may_omit_the_card() -> None:
    gateway = GatewayFixture()
    program = gateway.program()
    body: dict[str, Any] = {"lines": [{"sku": KETTLE, "quantity": 1}], "delivery_address": DELIVERY}
    for seen, expected in ((None, 422), (1, 422), (0, 202)):
        total = {} if seen is None else {"total_seen": {"amount_minor": seen, "currency": "EUR"}}
        headers = {"Idempotency-Key": f"k{seen}"}
        response = await program.post("/api/v1/orders", json=body | total, headers=headers)
        assert response.status_code == expected, response.text
    assert placed(gateway).card_token == orders.NO_CARD


def charged_total(items: Iterable[tuple[Money, int]]) -> Money:
    """`order_total` of a shop that adds 4.90 to each order. Its globals are those of contracts.values."""
    priced = list(items)
    amount = sum(price.amount_minor * quantity for price, quantity in priced)
    return Money(amount_minor=amount + 490, currency=priced[0][0].currency)


async def test_a_charge_on_the_order_would_be_one_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values.order_total, "__code__", charged_total.__code__)
    gateway, customer = await shopping(2990)
    for path in ("/basket", "/checkout"):
        assert "€64.70" in Page(await customer.get(path)).text, path
    response = await checked_out(customer, card="tok_visa")
    command = placed(gateway)
    accepted = decided(command, Money(amount_minor=2990, currency="EUR"))
    assert isinstance(accepted, orders.OrderPlaced)
    assert accepted.total.amount_minor == 2 * 2990 + 490
    for path in (response.headers["Location"], "/orders"):
        assert "€64.70" in Page(await customer.get(path)).text, path

"""The requested lines of a rejected order, with the price book's titles and prices of that time."""

from dataclasses import replace

from contracts import orders
from order_svc.price import Price
from tests.support.given_when_then import last_emitted
from tests.support.messages import KETTLE, PLACE, PRICE_BOOK
from tests.unit.order_svc.decision_tables import ORDERS


def test_a_rejection_contains_requested_lines_with_titles_and_prices() -> None:
    kettle = replace(PRICE_BOOK[KETTLE], title="Kettle, blue", title_revision=1)
    book = PRICE_BOOK | {KETTLE: kettle, "GONE": Price(revision=2, title="Samovar", title_revision=1)}
    wanted = {KETTLE: 60, "GONE": 2, "NO-SUCH-THING": 100}
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in wanted.items()] + [
        {"sku": KETTLE, "quantity": 99}
    ]
    rejected = last_emitted(
        ORDERS, [orders.PlaceOrder.model_validate(PLACE.model_dump() | {"lines": lines})], book
    )
    assert isinstance(rejected, orders.OrderRejected)
    assert [(line.sku, line.quantity, line.price, line.title) for line in rejected.lines] == [
        (KETTLE, 60, kettle.money, "Kettle, blue"),
        ("GONE", 2, None, "Samovar"),
        ("NO-SUCH-THING", 100, None, None),
        (KETTLE, 99, kettle.money, "Kettle, blue"),
    ]

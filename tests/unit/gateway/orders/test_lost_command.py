"""A broker that has lost its queues has lost the order's command: a repeated request sends it again."""

from datetime import timedelta

from chassis.core.execute import execute
from contracts import orders
from contracts.values import NOTHING
from gateway.orders.aggregates import TIMELINES
from tests.support.shops.gateway import GatewayFixture, place_order


async def test_a_repeated_key_sends_again_after_a_minute_without_events() -> None:
    gateway = GatewayFixture()
    ada = gateway.program()
    first = await place_order(ada, "k1")
    gateway.now += timedelta(seconds=61)
    again = await place_order(ada, "k1")
    assert again.json()["id"] == first.json()["id"]
    one, other = gateway.sent(orders.PlaceOrder)
    assert (one.message_id, one.body) == (other.message_id, other.body)

    placed = orders.OrderPlaced(
        order_id=first.json()["id"],
        customer_id=gateway.user_id(),
        lines=(),
        total=NOTHING,
        card_token="tok_visa",
    )
    await execute(gateway.runtime, TIMELINES, placed.subject, placed)
    await place_order(ada, "k1")
    assert len(gateway.sent(orders.PlaceOrder)) == 2, "order_svc has it"

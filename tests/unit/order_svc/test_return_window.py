"""The return window: until when goods can come back by a refund. An amount alone has no such limit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.clock import CLOCK_SKEW_MAX
from chassis.core.codec import Codec
from chassis.core.decision import UNKNOWN_TIME, Context, Decision
from chassis.runtime import Runtime
from chassis.settings import BadSettings, load_settings
from chassis.store.protocol import Change
from chassis.web import app
from contracts import orders
from contracts.http.orders import RefundStatus
from contracts.orders import RefundRefuseReason
from order_svc.api import routes
from order_svc.application import APPLICATION
from order_svc.decider import RETURN_WINDOW, recall
from order_svc.order import Order
from order_svc.service import order_service
from tests.support.applications import SETTINGS
from tests.support.given_when_then import state_after
from tests.support.messages import (
    AUTHORIZED,
    CUSTOMER,
    DISPATCH,
    DISPATCHED,
    FAILED,
    GOODS_REQUESTED,
    GOODS_RETURNED,
    ORDER,
    PART_REFUNDED,
    PLACE,
    REFUND_GOODS,
    REFUND_GOODS_AGAIN,
    REFUND_ORDER,
    REFUND_REQUESTED,
    REFUND_TOO_MANY_PIECES,
    RESERVED,
)
from tests.support.pending_message_factory import message_processor, pending
from tests.unit.order_svc.decision_tables import ORDERS

NOON = datetime(2031, 5, 6, 12, 0, tzinfo=UTC)
WINDOW, SECOND = timedelta(days=14), timedelta(seconds=1)
END = NOON + WINDOW
DECIDE = next(
    aggregate.decide
    for aggregate in order_service(return_window=WINDOW).aggregates
    if aggregate.kind == "orders"
)


def decided(order: Order, message: Any, at: datetime) -> Decision[Order]:
    """What a message leads to that was sent at this time."""
    decision = DECIDE(order, message, Context(sent_at=at))
    assert isinstance(decision, Decision)
    return decision


def after(order: Order, *sent: tuple[Any, datetime]) -> Order:
    """The order after messages that were sent at these times."""
    for message, at in sent:
        order = decided(order, message, at).state
    return order


def placed(at: datetime = NOON - timedelta(days=1)) -> Order:
    order: Order = state_after(ORDERS, [PLACE, RESERVED, AUTHORIZED])
    return replace(order, placed_at=at)


def dispatched(at: datetime = NOON) -> Order:
    return after(placed(), (DISPATCH, at))


def emitted(order: Order, message: Any, at: datetime) -> Any:
    [event] = decided(order, message, at).emits
    return event


@pytest.mark.parametrize("at", [NOON, END - SECOND, END, END.astimezone(timezone(timedelta(hours=-9)))])
def test_goods_can_come_back_until_the_end_of_the_window(at: datetime) -> None:
    assert emitted(dispatched(), REFUND_GOODS, at) == GOODS_REQUESTED


@pytest.mark.parametrize("command", [REFUND_GOODS, REFUND_TOO_MANY_PIECES])
@pytest.mark.parametrize("between", [(), ((FAILED, NOON),)], ids=["dispatched", "needs attention"])
def test_goods_cannot_come_back_after_the_window(command: orders.RefundOrder, between: Any) -> None:
    order = after(dispatched(), *between)
    refused = emitted(order, command, END + SECOND)
    assert isinstance(refused, orders.RefundNotPossible)
    assert refused.reason is RefundRefuseReason.RETURN_WINDOW_ENDED
    assert refused.detail == (
        "pieces could come back until 2031-05-20 12:00 UTC; give the amount back without them, and "
        "correct the stock"
    )
    assert after(order, (command, END + SECOND)) == order


def test_an_amount_alone_can_be_refunded_after_the_window() -> None:
    assert emitted(dispatched(), REFUND_ORDER, END + timedelta(days=999)) == REFUND_REQUESTED


def test_a_refund_in_time_is_finished_after_the_window() -> None:
    """The result is late, and so is the same refund under another message id."""
    late = END + timedelta(days=20)
    requested = after(dispatched(), (REFUND_GOODS, END))
    repeated = decided(requested, REFUND_GOODS, late)
    assert repeated.state == requested and repeated.emits == ()
    assert emitted(requested, PART_REFUNDED, late) == GOODS_RETURNED


def test_the_window_begins_with_the_command_not_with_a_copy() -> None:
    order = after(dispatched(), (DISPATCH, END))
    assert order.returnable_until(WINDOW) == END


def test_a_clock_that_is_behind_cannot_dispatch_before_the_placement() -> None:
    order = after(placed(NOON), (DISPATCH, NOON - timedelta(days=999)))
    assert order.dispatched_at == NOON


@pytest.mark.parametrize(("placed_at", "first"), [(None, NOON), (NOON - WINDOW, NOON)])
def test_an_order_placed_at_an_unknown_time_has_a_window(placed_at: datetime | None, first: datetime) -> None:
    order = after(replace(placed(), placed_at=placed_at), (DISPATCH, first))
    assert order.returnable_until(WINDOW) == END


def test_a_command_without_a_time_is_not_limited() -> None:
    """As before; its sender is a program that gives none."""
    undated = after(placed(), (DISPATCH, UNKNOWN_TIME))
    assert undated.dispatched and undated.returnable_until(WINDOW) is None
    assert emitted(undated, REFUND_GOODS, END + SECOND) == GOODS_REQUESTED
    assert emitted(dispatched(), REFUND_GOODS, UNKNOWN_TIME) == GOODS_REQUESTED


def test_an_order_of_an_earlier_version_has_no_window() -> None:
    """Its document has no time of the dispatch."""
    codec = Codec(Order)
    document = codec.dump(dispatched())
    del document["dispatched_at"]
    order = codec.load(document)
    assert order.dispatched and order.returnable_until(WINDOW) is None
    assert emitted(order, REFUND_GOODS, END + timedelta(days=999)) == GOODS_REQUESTED
    assert codec.load(codec.dump(dispatched())) == dispatched()


def test_a_restored_order_has_its_window() -> None:
    """The time of the command is lost; its event followed it at once. Refunds in time are known again."""
    order = placed()
    for event, at in ((DISPATCHED, NOON + SECOND), (GOODS_REQUESTED, END), (GOODS_RETURNED, END + WINDOW)):
        decision = recall(order, event, Context(sent_at=at))
        assert isinstance(decision, Decision)
        order = decision.state
    assert order.returnable_until(WINDOW) == END + SECOND
    assert [refund.status for refund in order.refunds] == [RefundStatus.DONE]
    refused = emitted(order, REFUND_GOODS_AGAIN, END + 2 * SECOND)
    assert refused.reason is RefundRefuseReason.RETURN_WINDOW_ENDED


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=2_900_000)])
async def test_a_fast_clock_lengthens_the_window_by_a_minute_only(ahead: timedelta) -> None:
    service, store = order_service(return_window=WINDOW), MemoryStore()
    await store.start(service.kinds)
    [loaded] = (await store.load("orders", [str(ORDER)])).values()
    await store.save([Change(loaded, Codec(Order).dump(placed()))])
    work = pending(service, DISPATCH, sent_at=NOON + ahead)
    await message_processor(service, store, clock=lambda: NOON).process([work])
    [loaded] = (await store.load("orders", [str(ORDER)])).values()
    order: Order = Codec(Order).load(loaded.state or {})
    assert order.returnable_until(WINDOW) == END + CLOCK_SKEW_MAX


async def test_the_api_shows_until_when_goods_can_come_back() -> None:
    service, store = order_service(), MemoryStore()
    runtime = Runtime(service, MemoryBus(MemoryBroker(build([service])), "order_svc"), store)
    await store.start(service.kinds)
    application = app.create_app(runtime, partial(routes, return_window=WINDOW)(runtime))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://x") as client:
        for order, until in ((placed(), None), (dispatched(), "2031-05-20T12:00:00Z")):
            [loaded] = (await store.load("orders", [str(ORDER)])).values()
            await store.save([Change(loaded, Codec(Order).dump(order))])
            assert (await client.get(f"/orders/{ORDER}")).json()["returnable_until"] == until
            found = (await client.get(f"/orders?customer_id={CUSTOMER}")).json()["items"]
            assert [each["returnable_until"] for each in found] == [until]


def test_the_window_is_a_month_unless_set() -> None:
    assert timedelta(days=30) == RETURN_WINDOW
    settings = load_settings(APPLICATION.settings, **SETTINGS, return_days="14")
    [aggregate, _] = APPLICATION.build(settings, lambda database: MemoryStore()).service.aggregates
    order = after(placed(), (DISPATCH, NOON))
    for at, name in ((END, "RefundRequested"), (END + SECOND, "RefundNotPossible")):
        decision = aggregate.decide(order, REFUND_GOODS, Context(sent_at=at))
        assert isinstance(decision, Decision)
        assert [type(event).__name__ for event in decision.emits] == [name]
    with pytest.raises(BadSettings, match="RETURN_DAYS"):
        load_settings(APPLICATION.settings, **SETTINGS, return_days="0")

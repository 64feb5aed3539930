"""Which orders are stuck, from handled messages made here;
and the handled messages that a service returns.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.messaging.envelope import wrap
from chassis.runtime import Runtime
from chassis.store.protocol import Change, Handled
from chassis.web import app
from contracts import inventory, notifications, orders, payments
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis.pending_messages import KEPT, SentMessage
from journey.admin.diagnosis.stuck import HandledSnapshot, OrderSummary, StuckOrder, stuck
from journey.admin.registry import SERVICES
from order_svc.service import order_service
from tests.support.messages import CONFIRMED, CUSTOMER, PLACED
from tests.support.stuck_order_fixtures import BEGAN, ID, NOW, dead_letter, sent_message

CAPTURE = sent_message(payments.Capture, "payment_svc")
ALL = {service for service, kinds in KEPT.items() if kinds}


def snapshot_with(
    *arguments: SentMessage,
    status: str = "confirmed",
    deadline: bool = False,
    silent: str = "",
    handled: Mapping[str, set[str]] | None = None,
) -> HandledSnapshot:
    known = OrderSummary(status, NOW if deadline else None)
    reported = {name: (handled or {}).get(name, set()) for name in ALL - {silent}}
    return HandledSnapshot({ID: known}, {ID}, list(arguments), reported)


def found(made: HandledSnapshot, *dead_letters: DeadLetter, before: datetime = NOW) -> list[StuckOrder]:
    return stuck(made, dead_letters, before)


def test_an_order_at_rest_is_not_stuck() -> None:
    assert not found(snapshot_with(CAPTURE, handled={"payment_svc": {CAPTURE.id}}))


def test_a_confirmed_order_whose_capture_is_not_handled_is_stuck() -> None:
    [order] = found(snapshot_with(CAPTURE))
    assert (order.order_id, order.status, order.since) == (ID, "confirmed", BEGAN)
    assert [each.service for each in order.awaited] == ["payment_svc"]


def test_what_has_not_waited_long_enough_is_left_out() -> None:
    assert not found(snapshot_with(CAPTURE), before=BEGAN - timedelta(seconds=1))


def test_an_unresponsive_service_makes_only_recorded_waits_stuck() -> None:
    placed = sent_message(orders.OrderPlaced, "order_svc")
    handled = {"inventory_svc": {placed.id}}
    assert not found(snapshot_with(placed, silent="payment_svc", handled=handled))
    [order] = found(
        snapshot_with(placed, status="placed", deadline=True, silent="payment_svc", handled=handled)
    )
    assert [(each.service, each.certain) for each in order.awaited] == [("payment_svc", False)]


def test_an_order_waiting_only_for_its_deadline_is_stuck() -> None:
    placed = sent_message(orders.OrderPlaced, "order_svc")
    everyone = {name: {placed.id} for name in ALL}
    [order] = found(snapshot_with(placed, status="placed", deadline=True, handled=everyone))
    assert (order.awaited, order.since) == ((), BEGAN)


def test_an_unhandled_order_with_a_dead_letter_is_stuck() -> None:
    [order] = found(
        HandledSnapshot(handled={name: set() for name in ALL}), dead_letter("order_svc", orders.PlaceOrder)
    )
    assert (order.order_id, order.status, len(order.dead_letters)) == (ID, "", 1)


def test_a_handled_dead_letter_makes_no_order_stuck() -> None:
    died = dead_letter("payment_svc", orders.OrderConfirmed)
    assert found(snapshot_with(), died)
    assert not found(snapshot_with(handled={"payment_svc": {died.id}}), died)


def test_events_about_users_and_goods_are_no_orders() -> None:
    about_user = sent_message(notifications.SendMail, "notification_svc", subject=str(CUSTOMER))
    assert not found(
        snapshot_with(about_user), dead_letter("inventory_svc", inventory.ReceiveStock, subject=str(CUSTOMER))
    )


def test_the_longest_wait_comes_first() -> None:
    later = sent_message(payments.Capture, "payment_svc", subject="later", at=NOW)
    both = snapshot_with(later, CAPTURE)
    both.keys.add("later")
    assert [order.order_id for order in found(both)] == [ID, "later"]


# what a service returns


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """order_svc with three orders, whose handled and emitted messages are identified by the order's
    number.
    """
    runtime = Runtime(
        order_service(), MemoryBus(MemoryBroker(build([order_service()])), "order_svc"), MemoryStore()
    )
    await runtime.store.start(runtime.service.kinds)
    for number in range(3):
        [loaded] = (await runtime.store.load("orders", [f"order-{number}"])).values()
        expected = wrap(CONFIRMED if number else PLACED, id=f"said-{number}", source="order_svc", now=BEGAN)
        handled = Handled(f"heard-{number}", orders.PlaceOrder.TYPE, BEGAN, ("new", "placed"), (expected,))
        deadline = NOW if number == 0 else None
        state = {"status": "placed" if number == 0 else "confirmed"}
        at = BEGAN + timedelta(minutes=number)
        assert await runtime.store.save(
            [Change(loaded, state, [handled], deadline_at=deadline, changed_at=at)]
        )
    transport = httpx.ASGITransport(app.create_app(runtime, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://order_svc") as client:
        yield client


async def test_a_service_returns_handled_and_emitted_messages_without_bodies(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/handled/orders", params={"limit": 1})).json()
    [record] = page
    assert (record["key"], record["status"], record["handled"]) == ("order-0", "placed", ["heard-0"])
    assert datetime.fromisoformat(record["deadline_at"]) == NOW
    [expected] = record["said"]
    assert (expected["id"], expected["type"], expected["subject"]) == ("said-0", orders.OrderPlaced.TYPE, ID)
    assert PLACED.card_token not in str(page)


async def test_handling_records_are_paged_by_key(client: httpx.AsyncClient) -> None:
    page = (await client.get("/handled/orders", params={"limit": 2, "after": "order-0"})).json()
    assert [record["key"] for record in page] == ["order-1", "order-2"]


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({"is_open": "true"}, ["order-0"]),
        ({"changed_since": (BEGAN + timedelta(minutes=1)).isoformat()}, ["order-1", "order-2"]),
        ({"changed_since": (BEGAN + timedelta(minutes=1)).isoformat(), "after": "order-1"}, ["order-2"]),
        ({"about": "order-2,order-0,missing"}, ["order-0", "order-2"]),
    ],
    ids=str,
)
async def test_handling_records_are_selected_by_status_time_or_key(
    client: httpx.AsyncClient, asked: dict[str, str], keys: list[str]
) -> None:
    page = (await client.get("/handled/orders", params=asked)).json()
    assert [record["key"] for record in page] == keys
    assert [record["is_open"] for record in page] == [key == "order-0" for key in keys]


async def test_a_time_without_its_zone_is_refused(client: httpx.AsyncClient) -> None:
    assert (
        await client.get("/handled/orders", params={"changed_since": "2026-01-31T12:00:00"})
    ).status_code == 422


def test_every_open_status_is_one_that_its_aggregate_can_have() -> None:
    for make in SERVICES.values():
        for aggregate in make().aggregates:
            if aggregate.open_statuses:
                assert aggregate.open_statuses < {str(status) for status in type(aggregate.start.status)}


async def test_aggregates_without_handled_ids_are_omitted(client: httpx.AsyncClient) -> None:
    response = await client.get("/handled/prices")
    assert response.status_code == 404 and "prices" in response.json()["detail"]

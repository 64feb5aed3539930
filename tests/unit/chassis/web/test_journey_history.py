"""If several journeys touch one aggregate, the history of each shows its own messages only."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.decision import Context, Decision
from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from chassis.store.protocol import HandlingTimes
from chassis.web import app
from chassis.web.journey_history import RecordedTimes
from contracts import orders, payments
from contracts.catalog import CATALOG
from contracts.values import Money
from journey.admin.diagnosis import journey_history
from journey.admin.diagnosis.explain import Explanation
from journey.admin.diagnosis.snapshot import ShopSnapshot
from tests.support.pending_message_factory import NOW, message_processor, pending

CUSTOMER = UUID(int=1)
FIRST, SECOND = UUID(int=11), UUID(int=12)
TOTAL = Money(amount_minor=100, currency="EUR")


@dataclass(frozen=True)
class Points:
    """A customer's points, over all orders."""

    status: str = "open"
    count: int = 0


def collect(points: Points, message: Message, _: Context[object]) -> Decision[Points]:
    match message:
        case orders.OrderConfirmed(order_id=order_id):
            reported = payments.PaymentCaptured(order_id=order_id, amount=TOTAL)
            return Decision(replace(points, count=points.count + 1), reported)
        case _:
            return Decision(points)


HANDLED = (orders.OrderConfirmed, orders.OrderCancelled)
POINTS = Aggregate("points", Points(), collect, HANDLED, key=lambda message: str(message.customer_id))
SERVICE = ServiceDefinition("payment_svc", (POINTS,), catalog=CATALOG)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The first order is confirmed, then the second; then the first is cancelled,
    which changes nothing here.
    """
    runtime = Runtime(SERVICE, MemoryBus(MemoryBroker(build([SERVICE])), "payment_svc"), MemoryStore())
    await runtime.store.start(SERVICE.kinds)
    confirmed = [
        orders.OrderConfirmed(order_id=each, customer_id=CUSTOMER, total=TOTAL) for each in (FIRST, SECOND)
    ]
    cancelled = orders.OrderCancelled(
        order_id=FIRST, customer_id=CUSTOMER, reason=orders.CancelReason.CUSTOMER
    )
    times = (NOW + timedelta(seconds=number) for number in count())
    for number, message in enumerate((*confirmed, cancelled)):
        each = pending(SERVICE, message, f"m-{number}")
        each.times = HandlingTimes(NOW, NOW + timedelta(seconds=1), failed_attempts=1)
        await message_processor(SERVICE, runtime.store, clock=lambda: next(times)).process([each])
    transport = httpx.ASGITransport(app.create_app(runtime, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://payment_svc") as client:
        yield client


async def handled_type(client: httpx.AsyncClient, journey: object) -> list[str]:
    return [entry["message_id"] for entry in (await client.get(f"/journeys/{journey}")).json()]


async def test_a_journeys_history_shows_its_own_messages(client: httpx.AsyncClient) -> None:
    assert await handled_type(client, FIRST) == ["m-0", "m-2"]
    assert await handled_type(client, SECOND) == ["m-1"]
    assert await handled_type(client, UUID(int=13)) == []


async def test_times_are_returned_only_on_request(client: httpx.AsyncClient) -> None:
    """The tools of the version before the times refuse fields that they do not know."""
    [before, _] = (await client.get(f"/journeys/{FIRST}")).json()
    assert set(before) == {
        *("service", "kind", "key", "message_id", "type", "at", "status_from", "status_to", "says"),
    }
    [after, _] = (await client.get(f"/journeys/{FIRST}", params={"times": "true"})).json()
    assert after.pop("times") == {
        "sent_at": "2026-01-01T00:00:00Z",
        "received_at": "2026-01-01T00:00:01Z",
        "effect_began_at": None,
        "effect_ended_at": None,
        "failed_attempts": 1,
        "postponed": 0,
    }
    assert after == before


async def test_histories_of_earlier_and_later_versions_are_read() -> None:
    old = {
        "service": "order_svc",
        "kind": "orders",
        "key": str(FIRST),
        "message_id": "m",
        "type": orders.PlaceOrder.TYPE,
        "at": NOW.isoformat(),
        "status_from": "new",
        "status_to": "placed",
        "says": [],
    }
    later = old | {"message_id": "n", "times": {"received_at": NOW.isoformat(), "new": 1}, "new": 1}

    def respond(request: httpx.Request) -> httpx.Response:
        assert request.url.params["times"] == "true"
        return httpx.Response(200, json=[old, later])

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        found = await journey_history.fetch(http, {"order_svc": "http://order_svc"}, str(FIRST))
    assert [entry.times for entry in found.entries] == [RecordedTimes(), RecordedTimes(received_at=NOW)]
    assert json.loads(json.dumps([entry.as_json() for entry in found.entries]))[0].keys() == {*old, "times"}


async def test_the_aggregates_own_history_is_complete(client: httpx.AsyncClient) -> None:
    assert await handled_type(client, CUSTOMER) == ["m-0", "m-1", "m-2"]


async def test_explain_counts_messages_handled_in_an_earlier_journeys_aggregate(
    client: httpx.AsyncClient,
) -> None:
    """The second order's confirmation was handled by the document that the first order created."""
    confirmed = {
        "id": "m-1",
        "type": orders.OrderConfirmed.TYPE,
        "subject": str(SECOND),
        "journey": str(SECOND),
    }
    emitted = journey_history.HistoryEntry(
        "order_svc", "orders", str(SECOND), "p", orders.PlaceOrder.TYPE, NOW, "", "", (confirmed,)
    )
    by_order = {}
    for order_id in (FIRST, SECOND):
        found = await journey_history.fetch(client, {"payment_svc": "http://payment_svc"}, str(order_id))
        found.entries.append(emitted)
        nothing = ShopSnapshot({}, {}, {}, dead_letters=())
        by_order[order_id] = Explanation(str(order_id), datetime.now(UTC), None, found, nothing)
    waiting = [each.service for each, _ in by_order[SECOND].awaited if each.message.id == "m-1"]
    assert "payment_svc" not in waiting
    assert "payment_svc" in [each.service for each, _ in by_order[FIRST].awaited if each.message.id == "m-1"]

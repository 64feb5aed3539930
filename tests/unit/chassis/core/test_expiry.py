"""Ended aggregates expire; waiting or unpublished ones do not;
and old messages do not recreate expired ones.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.decision import Context, Decision
from chassis.core.definition import CLOCK_MARGIN, Aggregate, ServiceDefinition
from chassis.core.execute import execute
from chassis.core.sweeper import SWEEP_AFTER, sweep_unpublished
from chassis.messaging.envelope import wrap
from chassis.runtime import Runtime
from contracts import orders
from contracts.catalog import CATALOG
from contracts.http.orders import OrderStatus
from contracts.values import OrderLine
from order_svc.order import Order
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.pending_message_factory import NOW
from tests.support.recording_consumer import WAIT_S_MAX

KEPT = timedelta(days=60)
ORDER, CUSTOMER = UUID(int=7), UUID(int=8)
PLACE = orders.PlaceOrder(
    order_id=ORDER, customer_id=CUSTOMER, lines=(OrderLine(sku="TEA", quantity=1),), card_token="tok_visa"
)
JUST_OLD = NOW - KEPT + CLOCK_MARGIN


@pytest.fixture
async def shop() -> AsyncIterator[tuple[MemoryBroker, Runtime]]:
    service = order_service(ttl=KEPT)
    broker = MemoryBroker(build([service]))
    runtime = Runtime(service, MemoryBus(broker, "order_svc"), MemoryStore(), clock=lambda: NOW)
    await runtime.start()
    yield broker, runtime
    await runtime.kill()


async def sent(
    broker: MemoryBroker, sent_at: datetime, time: str | None = None, user: str = "client"
) -> None:
    wire_message = wrap(PLACE, id=f"placed {sent_at} {time}", source="client", now=sent_at).wire_message(
        CATALOG
    )
    if time is not None:
        wire_message = replace(wire_message, headers={**wire_message.headers, "time": time})
    await MemoryBus(broker, user).publish([wire_message])


async def test_a_message_older_than_the_retention_is_dead_lettered(
    shop: tuple[MemoryBroker, Runtime],
) -> None:
    broker, runtime = shop
    await sent(broker, JUST_OLD - timedelta(seconds=1))
    await until(lambda: broker.dead("order_svc"), within_s=WAIT_S_MAX)
    [dead_letter] = broker.dead("order_svc")
    assert dead_letter.headers["error_type"] == "TooOld" and dead_letter.headers["attempt"] == 1
    assert "60 days" in dead_letter.headers["error"]
    assert await runtime.store.find("orders") == []


@pytest.mark.parametrize(
    ("user", "kind"), [("client", "rejected"), ("client.shop", "rejected"), ("gateway", "dead")]
)
async def test_a_clients_too_old_message_displaces_no_dead_letter(
    shop: tuple[MemoryBroker, Runtime], user: str, kind: str
) -> None:
    """A client sets the time of its message, so it can send any number of these."""
    broker, _ = shop
    await sent(broker, JUST_OLD - timedelta(seconds=1), user=user)
    await until(lambda: broker.dead("order_svc"), within_s=WAIT_S_MAX)
    assert len(broker.queues[f"order_svc.{kind}"]) == 1


@pytest.mark.parametrize("time", [None, "", "soon", "1970-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00"])
async def test_a_younger_message_and_one_without_a_time_are_handled(
    shop: tuple[MemoryBroker, Runtime], time: str | None
) -> None:
    broker, runtime = shop
    await sent(broker, JUST_OLD, time)
    await until(lambda: runtime.store.find("orders"), within_s=WAIT_S_MAX)
    assert broker.dead("order_svc") == []


async def test_an_old_message_for_an_existing_aggregate_is_handled(
    shop: tuple[MemoryBroker, Runtime],
) -> None:
    broker, runtime = shop
    await sent(broker, NOW)
    await until(lambda: runtime.store.find("orders"), within_s=WAIT_S_MAX)
    await sent(broker, JUST_OLD - timedelta(days=100))
    await until(
        lambda: not any(s._held for s in broker.subscriptions["order_svc.commands"]), within_s=WAIT_S_MAX
    )
    assert broker.dead("order_svc") == []


# commands over HTTP


def reported(state: Order, asked: Any, _: Context[object]) -> Decision[Order]:
    emitted = orders.OrderDispatched(order_id=ORDER, customer_id=CUSTOMER)
    return Decision(replace(state, status=OrderStatus.DISPATCHED), emitted)


GATEWAY = Aggregate(
    "orders", Order(), reported, handles=(), ttl=KEPT, ended_statuses=frozenset({OrderStatus.DISPATCHED})
)


async def test_what_the_broker_has_not_confirmed_does_not_expire() -> None:
    service = ServiceDefinition("order_svc", (GATEWAY,), catalog=CATALOG)
    broker, store = MemoryBroker(build([order_service()])), MemoryStore()
    runtime = Runtime(service, MemoryBus(broker, "order_svc"), store, clock=lambda: NOW)
    broker.away = True
    await execute(runtime, GATEWAY, str(ORDER), object())
    long_after = datetime(2999, 1, 1, tzinfo=UTC)
    assert store.expire(long_after) == 0
    broker.away = False
    later = NOW + SWEEP_AFTER
    sweeping = sweep_unpublished(service, store, runtime.bus, clock=lambda: later, every_s=0.01)
    task = asyncio.ensure_future(sweeping)
    await until(lambda: _marked(store), within_s=WAIT_S_MAX)
    assert [each.type for each in broker.tapped] == [orders.OrderDispatched.TYPE]
    task.cancel()
    assert store.expire(later + KEPT - timedelta(seconds=1)) == 0
    assert store.expire(later + KEPT) == 1


def _marked(store: MemoryStore) -> bool:
    return all(document.kept_until for document in store._kinds["orders"].values())

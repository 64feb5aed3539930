"""The metrics of background tasks: gauges about the database, the event loop, clocks and readiness."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.health import Health
from chassis.sampling import observe_lag, sample_aggregate, sample_store
from chassis.store.protocol import Change, Handled, Loaded
from journey.admin.registry import shop_topology
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.messages import LISTED, PLACE_OTHER_GOODS
from tests.support.metric_changes import MetricChanges, gauge
from tests.support.observed_service import observed
from tests.support.pending_message_factory import NOW

SERVICE = order_service()
[ORDERS] = [aggregate for aggregate in SERVICE.aggregates if aggregate.kind == "orders"]
PLACED = {"service": "order_svc", "kind": "orders", "status": "placed"}


def open_orders() -> float | None:
    return gauge("journey_open_aggregates", **PLACED)


def oldest_s() -> float | None:
    return gauge("journey_oldest_open_aggregate_seconds", **PLACED)


def unpublished() -> float | None:
    return gauge("journey_unpublished_messages", service="order_svc", kind="orders")


async def save(store: MemoryStore, key: str, *, waited_s: float, is_unpublished: bool = False) -> None:
    at = NOW - timedelta(seconds=waited_s)
    handled = [Handled(f"message of {key}", "order.place.v1", at, ("", "placed"), ())]
    change = Change(
        Loaded("orders", key), {"status": "placed"}, handled, unpublished=is_unpublished, changed_at=at
    )
    assert await store.save([change])


@asynccontextmanager
async def running(task: Awaitable[None]) -> AsyncIterator[None]:
    running_task = asyncio.ensure_future(task)
    try:
        yield
    finally:
        running_task.cancel()
        await asyncio.gather(running_task, return_exceptions=True)


def block_event_loop(seconds: float) -> None:
    time.sleep(seconds)


async def test_open_orders_and_unpublished_messages_are_counted() -> None:
    store = MemoryStore()
    await sample_aggregate("order_svc", ORDERS, store, now=NOW)
    assert (open_orders(), oldest_s(), unpublished()) == (0, 0, 0)
    await save(store, "1", waited_s=30)
    await save(store, "2", waited_s=75, is_unpublished=True)
    await sample_aggregate("order_svc", ORDERS, store, now=NOW)
    assert (open_orders(), oldest_s(), unpublished()) == (2, 75, 1)


async def test_samples_are_repeated_and_stay_during_an_outage() -> None:
    store = MemoryStore()
    async with running(sample_store(SERVICE, store, clock=lambda: NOW, every_s=0.01)):
        await save(store, "1", waited_s=10)
        await until(open_orders, lambda count: count == 1)
        await save(store, "2", waited_s=20)
        await until(open_orders, lambda count: count == 2)
        store.away = True
        await asyncio.sleep(0.05)
        assert (open_orders(), oldest_s()) == (2, 20)
        store.away = False
        await save(store, "3", waited_s=30)
        await until(oldest_s, lambda age: age == 30)


async def test_a_blocked_event_loop_is_lag() -> None:
    metrics = MetricChanges()
    async with running(observe_lag("order_svc", 0.01)):
        await asyncio.sleep(0)
        block_event_loop(0.2)
        await until(lambda: metrics.of("journey_event_loop_lag_seconds_count", service="order_svc"))
    assert metrics.of("journey_event_loop_lag_seconds_sum", service="order_svc") >= 0.15


@pytest.mark.parametrize(
    ("ahead_s", "expected"), [(0, 0), (90, 90), (-30, 30)], ids=["equal", "ahead", "behind"]
)
async def test_the_skew_of_the_clocks_is_measured(ahead_s: float, expected: float) -> None:
    class DatedStore(MemoryStore):
        async def ping(self) -> datetime | None:
            return NOW + timedelta(seconds=ahead_s)

    bus = MemoryBus(MemoryBroker(shop_topology()), "order_svc")
    await Health(DatedStore(), bus, lambda: NOW, service="order_svc").probe()
    assert gauge("journey_clock_skew_seconds", service="order_svc") == expected


async def test_readiness_and_consuming_are_gauges() -> None:
    async with observed(SERVICE) as service:
        assert gauge("journey_consuming", service="order_svc") == 1
        for away in (False, True, False):
            service.store.away = away
            await service.runtime._health.probe()
            assert gauge("journey_ready", service="order_svc") == (not away)
    assert gauge("journey_consuming", service="order_svc") == 0


async def test_reminders_of_late_orders_are_counted() -> None:
    metrics = MetricChanges()
    async with observed(SERVICE) as service:
        await service.receive(LISTED)
        await service.receive(PLACE_OTHER_GOODS)
        assert metrics["journey_deadlines_total"] == 0
        service.passes(3_600)
        await until(lambda: metrics.of("journey_deadlines_total", service="order_svc", kind="orders"))
        await service.settled()
    assert metrics["journey_deadlines_total"] == 1

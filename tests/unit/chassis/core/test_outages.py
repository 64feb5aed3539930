"""A service with its database unavailable, its queue missing, or a long backlog; in virtual time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chassis import telemetry
from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.protocol import Delivery, Receive, Subscription
from chassis.bus.topology import build
from chassis.messaging.envelope import WireMessage, wrap
from chassis.runtime import Runtime
from chassis.web import app
from contracts import products
from contracts.catalog import CATALOG
from contracts.values import Money
from order_svc.service import order_service
from tests.simulation import virtual_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AWAY_S = 120.0
BACKLOG = 5_000
QUEUE = "order_svc.events"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    telemetry.configure("critical", pretty=False)
    yield
    telemetry.configure("info", pretty=False)


class CountingBus(MemoryBus):
    """Records every delivery, and the maximum of messages in flight."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker, "order_svc")
        self.delivered: list[str | None] = []
        self.in_hand_max = 0
        self.in_flight: Callable[[], int] = lambda: 0

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> Any:
        def take(delivery: Delivery) -> None:
            self.delivered.append(delivery.wire_message.message_id)
            receive(delivery)
            self.in_hand_max = max(self.in_hand_max, self.in_flight())

        subscription: Subscription = await super().subscribe(queue, prefetch, take)
        return subscription


class Instance:
    """order_svc with its broker and its database."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(build([order_service()]))
        self.store = MemoryStore()
        self.bus = CountingBus(self.broker)
        self.runtime = Runtime(order_service(), self.bus, self.store)
        self.bus.in_flight = lambda: self.runtime._dispatcher.in_flight if self.runtime._dispatcher else 0

    async def responses(self, path: str) -> tuple[int, str]:
        transport = httpx.ASGITransport(app.create_app(self.runtime, None))
        async with httpx.AsyncClient(transport=transport, base_url="http://order_svc") as client:
            response = await client.get(path)
        return response.status_code, response.json().get("detail", "")

    async def reported(self, wire_messages: Sequence[WireMessage]) -> None:
        assert not any(await MemoryBus(self.broker, "product_svc").publish(wire_messages))


def prices(count: int) -> list[WireMessage]:
    news = (
        products.PriceChanged(sku=f"TEA-{number}", price=Money(amount_minor=1, currency="EUR"), revision=1)
        for number in range(count)
    )
    return [wrap(each, id=str(uuid4()), source="product_svc", now=NOW).wire_message(CATALOG) for each in news]


def in_virtual_time(story: Callable[[Instance], Awaitable[None]]) -> None:
    async def reported() -> None:
        instance = Instance()
        try:
            await story(instance)
        finally:
            await instance.runtime.kill()

    virtual_time.play(reported())


def test_a_database_outage_fails_readiness_and_loses_no_delivery() -> None:
    async def story(shop: Instance) -> None:
        await shop.runtime.start()
        assert await shop.responses("/readyz") == (200, "")
        shop.store.away = True
        news = prices(50)
        await shop.reported(news)
        for _ in range(int(AWAY_S)):
            await asyncio.sleep(1)
            assert await shop.responses("/readyz") == (503, "the database does not answer")
            assert (await shop.responses("/healthz"))[0] == 200
        shop.store.away = False
        await asyncio.sleep(10)
        assert await shop.responses("/readyz") == (200, "")
        assert len(await shop.store.find("prices", limit=1000)) == len(news)
        assert sorted(map(str, shop.bus.delivered)) == sorted(
            str(wire_message.message_id) for wire_message in news
        )
        assert shop.broker.dead("order_svc") == []

    in_virtual_time(story)


def test_a_service_is_ready_only_once_its_queue_exists() -> None:
    async def story(shop: Instance) -> None:
        del shop.broker.queues[QUEUE]
        starting = asyncio.ensure_future(shop.runtime.start())
        for _ in range(60):
            await asyncio.sleep(1)
            status, why = await shop.responses("/readyz")
            assert status == 503 and why
            assert not starting.done()
        shop.broker.queues[QUEUE] = deque()
        await asyncio.sleep(10)
        assert await shop.responses("/readyz") == (200, "")
        await starting

    in_virtual_time(story)


def test_a_bug_in_dead_lettering_stops_the_service_and_redelivers() -> None:
    """The bug is in dead-lettering: unnoticed, the message would stay in flight forever."""

    async def story(shop: Instance) -> None:
        async def buggy(wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
            raise ZeroDivisionError

        await shop.runtime.start()
        shop.bus.publish = buggy  # type: ignore[method-assign]
        [poison] = prices(1)
        await shop.reported([replace(poison, body=b"no JSON")])
        await asyncio.sleep(1)
        assert shop.runtime.crashed.done() and isinstance(shop.runtime.crashed.result(), ZeroDivisionError)
        crashed_at = asyncio.get_running_loop().time()
        await shop.runtime.stop()
        assert asyncio.get_running_loop().time() == crashed_at, (
            "it waited for messages that nothing handles any more"
        )
        assert [wire_message.message_id for wire_message in shop.broker.queues[QUEUE]] == [poison.message_id]

    in_virtual_time(story)


def test_a_deleted_queue_fails_readiness_until_it_is_back() -> None:
    async def story(shop: Instance) -> None:
        await shop.runtime.start()
        del shop.broker.queues[QUEUE]
        assert await shop.responses("/readyz") == (503, "the broker has not registered our consumers")
        assert (await shop.responses("/healthz"))[0] == 200
        shop.broker.queues[QUEUE] = deque()
        assert await shop.responses("/readyz") == (200, "")

    in_virtual_time(story)


def test_a_backlog_is_drained_within_the_prefetch() -> None:
    async def story(shop: Instance) -> None:
        await shop.reported(prices(BACKLOG))
        await shop.runtime.start()
        await asyncio.sleep(60)
        service = shop.runtime.service
        assert len(await shop.store.find("prices", limit=2 * BACKLOG)) == BACKLOG
        assert not shop.broker.queues[QUEUE]
        assert 0 < shop.bus.in_hand_max <= service.prefetch_events

    in_virtual_time(story)

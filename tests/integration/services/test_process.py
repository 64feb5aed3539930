"""The path of a message on real adapters: a duplicate has no second effect,
and repeats the same outgoing messages.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import aio_pika
import pytest

from chassis.bus.memory import MemoryStore
from chassis.messaging.envelope import WireMessage
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Store
from contracts.catalog import NAMES
from contracts.values import OrderLine
from journey.devenv.infra.model import Infrastructure
from tests.support.brokers import Broker, RabbitMq
from tests.support.eventually import until
from tests.support.recording_consumer import WAIT_S_MAX, Inbox
from tests.support.shops.two_instances import DECLINED, SERVICES, Shop, open_shop

pytestmark = pytest.mark.every_service

ORDERS = 40
PIECES = 50
LINE = OrderLine(sku="TEA-GREEN", quantity=2)
CARDS = [DECLINED if number % 8 == 0 else "tok_visa" for number in range(ORDERS)]
AT_REST = {
    "orders": {"confirmed", "cancelled"},
    "reservations": {"committed", "released", "rejected"},
    "payments": {"captured", "declined", "voided", "refunded", "dropped"},
}


@pytest.fixture
def memory_stores() -> Callable[[str], Store]:
    """All instances of a service share one store."""
    return cache(lambda service: MemoryStore())


@pytest.fixture
def mongo_stores(real_infrastructure: Infrastructure, database_prefix: str) -> Callable[[str], Store]:
    return lambda service: MongoStore(real_infrastructure.mongo_url, f"{database_prefix}{service}")


@pytest.fixture(
    params=[("in_memory", "memory_stores"), pytest.param(("rabbit", "mongo_stores"), marks=pytest.mark.real)],
    ids=["memory", "real"],
)
def backends(request: pytest.FixtureRequest) -> tuple[Broker, Callable[[str], Store]]:
    broker, stores = request.param
    return request.getfixturevalue(broker), request.getfixturevalue(stores)


@pytest.fixture
async def shop(backends: tuple[Broker, Callable[[str], Store]]) -> AsyncIterator[Shop]:
    async with open_shop(*backends) as opened:
        yield opened


async def test_messages_delivered_up_to_three_times_have_one_effect(
    shop: Shop, backends: tuple[Broker, Callable[[str], Store]]
) -> None:
    broker, _ = backends
    dead_letters = await _dead_letters(broker)
    await shop.stock(LINE.sku, PIECES)
    await _at_rest(shop, {"receipts": 1, "prices": 1})
    await shop.order(CARDS, LINE)
    await _at_rest(shop, {"orders": ORDERS, "reservations": ORDERS, "payments": ORDERS})

    ended = Counter(await shop.statuses("order_svc", "orders"))
    [shelf] = await shop.states("inventory_svc", "shelves")
    assert ended["confirmed"] > 0
    assert shelf["received"] == PIECES
    assert shelf["available"] + shelf["reserved"] + shelf["sold"] == shelf["received"]
    assert (shelf["reserved"], shelf["sold"]) == (0, ended["confirmed"] * LINE.quantity)
    paid = Counter(await shop.statuses("payment_svc", "payments"))
    assert paid["captured"] == ended["confirmed"] == len(set(shop.provider.captured.values()))
    assert dead_letters.wire_messages == []

    copies = [*shop.sent, *(await _journal(broker) if isinstance(broker, RabbitMq) else [])]
    assert len(copies) > 3 * ORDERS
    assert _emitted_in_two_ways(copies) == []


async def _at_rest(shop: Shop, wanted: dict[str, int]) -> None:
    """Wait until there are so many of each kind, all at rest, and no message is unacknowledged."""
    service_of = {kind: runtime.service.name for runtime in shop.runtimes for kind in runtime.service.kinds}
    async with asyncio.timeout(2 * WAIT_S_MAX):
        while True:
            found = {kind: await shop.states(service_of[kind], kind) for kind in wanted}
            resting = {
                kind: sum(kind not in AT_REST or state["status"] in AT_REST[kind] for state in states)
                for kind, states in found.items()
            }
            in_hand = sum(runtime._dispatcher.in_flight for runtime in shop.runtimes if runtime._dispatcher)
            if resting == wanted and not in_hand:
                return
            await asyncio.sleep(0.05)


async def _dead_letters(broker: Broker) -> Inbox:
    dead_letters = Inbox()
    for make in SERVICES:
        service = make()
        await (await broker.bus(service.name)).subscribe(service.dead_queue, 10, dead_letters)
    return dead_letters


def _emitted_in_two_ways(copies: list[WireMessage]) -> list[str | None]:
    """Ids of messages whose copies differ in what we wrote: body, properties, or our headers."""
    first: dict[str | None, Any] = {}
    different = []
    for wire_message in copies:
        ours = {key: value for key, value in wire_message.headers.items() if not key.startswith("x-")}
        if wire_message.exchange not in ("commands", "events"):
            continue
        written = (
            wire_message.body,
            wire_message.type,
            wire_message.app_id,
            wire_message.correlation_id,
            wire_message.content_type,
            ours,
        )
        if first.setdefault(wire_message.message_id, written) != written:
            different.append(wire_message.message_id)
    return different


async def _journal(rabbit: RabbitMq) -> list[WireMessage]:
    """All events in the journal."""
    read: list[WireMessage] = []

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        properties = message.message_id, message.type, message.app_id, message.correlation_id
        headers, kind = message.headers, message.content_type
        read.append(
            WireMessage(
                message.exchange or "", message.routing_key or "", message.body, *properties, headers, kind
            )
        )
        await message.ack()

    async with await aio_pika.connect(rabbit.vhost.url("operator")) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        journal = await channel.get_queue(NAMES.journal, ensure=False)
        await journal.consume(on_message, arguments={"x-stream-offset": "first"})
        marker = await connection.channel()
        events = await marker.get_exchange("events", ensure=False)
        await events.publish(aio_pika.Message(b"", message_id="the end"), "no.such.type")
        await until(
            lambda: any(wire_message.message_id == "the end" for wire_message in read), within_s=WAIT_S_MAX
        )
    return read

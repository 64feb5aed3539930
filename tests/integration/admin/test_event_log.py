"""The journal on a real broker: read without consuming, up to now; published again to one service only."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import httpx
import pytest

from chassis.bus.protocol import BusUnavailable, Delivery
from chassis.bus.rabbitmq import RabbitBus
from chassis.messaging.envelope import OPERATOR, WireMessage, parse
from contracts import inventory, orders
from contracts.catalog import CATALOG, NAMES
from contracts.values import Money
from journey.admin.broker.management import Limit
from journey.admin.endpoints import ShopEndpoints
from journey.admin.event_log import backfill, journal
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from notification_svc.service import notification_service
from tests.support.brokers import RabbitMq
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX, Inbox, as_kept, placed, wrapped

pytestmark = pytest.mark.real

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def endpoints(vhost: VirtualHost) -> ShopEndpoints:
    ui = urlsplit(vhost.management_url)
    return ShopEndpoints(
        kind="test",
        vhost=vhost.name,
        amqp_base=vhost.amqp_url,
        passwords=vhost.passwords,
        http={},
        rabbitmq_ui=f"{ui.scheme}://{ui.hostname}:{ui.port}",
        mailbox_url="",
    )


@pytest.fixture
async def publisher(rabbit: RabbitMq) -> RabbitBus:
    """A bus with the user order_svc."""
    return await rabbit.bus("order_svc")


@pytest.fixture
async def api(vhost: VirtualHost) -> AsyncIterator[httpx.AsyncClient]:
    """The management API, for manual changes."""
    async with httpx.AsyncClient(base_url=f"{vhost.management_url}/api/", timeout=30) as client:
        yield client


def confirmed() -> WireMessage:
    """An event that notification_svc consumes."""
    total = Money(amount_minor=420, currency="EUR")
    return wrapped(orders.OrderConfirmed(order_id=uuid4(), customer_id=uuid4(), total=total)).wire_message(
        CATALOG
    )


async def publish(bus: RabbitBus, wire_messages: list[WireMessage]) -> list[str | None]:
    assert not any(await bus.publish(wire_messages))
    return [wire_message.message_id for wire_message in wire_messages]


async def read(endpoints: ShopEndpoints, since: journal.Since = None) -> list[journal.Entry]:
    async with asyncio.timeout(WAIT_S_MAX):
        return [entry async for entry in journal.read(endpoints.amqp_url(OPERATOR), since)]


def ids(entries: list[journal.Entry]) -> list[str | None]:
    return [entry.wire_message.message_id for entry in entries]


async def given(endpoints: ShopEndpoints, *, rate: float = 10_000.0) -> backfill.Backfilled:
    """Backfill everything that notification_svc consumes."""
    done, service = backfill.Backfilled(), notification_service()
    async with backfill.throttled_publisher(endpoints, service, rate) as inlet:
        async for batch in backfill.missed(endpoints, service, LONG_AGO, done, lambda text: None):
            await inlet.give(batch)
    return done


async def bounded(api: httpx.AsyncClient, endpoints: ShopEndpoints, queue: str, messages: int) -> None:
    policy = {
        "pattern": f"^{queue.replace('.', '[.]')}$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {"max-length": messages, "overflow": "drop-head"},
    }
    (await api.put(f"policies/{endpoints.vhost}/tight", json=policy)).raise_for_status()
    path = f"queues/{endpoints.vhost}/{queue}"
    await until(
        lambda: api.get(path), lambda response: response.json().get("policy") == "tight", within_s=WAIT_S_MAX
    )


async def test_an_empty_journal_ends_at_once(endpoints: ShopEndpoints) -> None:
    assert await read(endpoints) == []


async def test_reading_returns_every_event_unchanged_and_consumes_none(
    endpoints: ShopEndpoints, publisher: RabbitBus
) -> None:
    wire_messages = [placed() for _ in range(2_500)]  # more than may be unacknowledged
    for start in range(0, len(wire_messages), 500):
        await publish(publisher, wire_messages[start : start + 500])
    for _ in range(2):
        entries = await read(endpoints)
        assert [as_kept(entry.wire_message) for entry in entries] == [
            as_kept(wire_message) for wire_message in wire_messages
        ]
        assert {entry.wire_message.user_id for entry in entries} == {"order_svc"}
        assert [entry.offset for entry in entries] == sorted({entry.offset for entry in entries})


async def test_reading_ends_while_publishing_continues(
    endpoints: ShopEndpoints, publisher: RabbitBus
) -> None:
    before = await publish(publisher, [placed() for _ in range(50)])
    silent = asyncio.Event()

    async def talk() -> None:
        while not silent.is_set():
            await publish(publisher, [placed() for _ in range(20)])

    talking = asyncio.create_task(talk())
    entries = await read(endpoints)
    silent.set()
    await talking
    assert ids(entries)[:50] == before


async def test_reading_can_begin_at_a_time_or_after_an_offset(
    endpoints: ShopEndpoints, publisher: RabbitBus
) -> None:
    early = await publish(publisher, [placed() for _ in range(3)])
    await asyncio.sleep(2.1)  # the broker's times are whole seconds
    noon = datetime.now(UTC)
    late = await publish(publisher, [placed() for _ in range(3)])
    assert ids(await read(endpoints, LONG_AGO)) == early + late
    assert ids(await read(endpoints, noon)) == late
    everything = await read(endpoints)
    assert ids(await read(endpoints, everything[3].offset + 1)) == late[1:]
    assert await read(endpoints, everything[-1].offset + 1) == []


async def test_reading_up_to_a_future_broker_time_ends(
    endpoints: ShopEndpoints, publisher: RabbitBus
) -> None:
    await publish(publisher, [placed()])
    await read(endpoints, datetime.now(UTC) + timedelta(hours=1))


async def test_a_missing_journal_is_reported_with_the_remedy(
    rabbit: RabbitMq, endpoints: ShopEndpoints
) -> None:
    await rabbit.delete_queue(NAMES.journal)
    with pytest.raises(InfrastructureUnavailable, match="topology apply"):
        await read(endpoints)


async def test_a_connection_lost_while_reading_is_an_error(rabbit: RabbitMq, publisher: RabbitBus) -> None:
    for _ in range(10):
        await publish(publisher, [placed() for _ in range(500)])
    entries = journal.read(rabbit.vhost.url(OPERATOR, rabbit.proxy.port))
    with pytest.raises(BusUnavailable, match="run it again"):
        async for entry in entries:
            if entry.offset == 0:
                rabbit.proxy.cut()


async def test_backfill_publishes_to_one_service_only(
    rabbit: RabbitMq, endpoints: ShopEndpoints, publisher: RabbitBus
) -> None:
    news, other = [confirmed() for _ in range(30)], [placed() for _ in range(5)]
    post, money = Inbox(), Inbox()
    await (await rabbit.bus("payment_svc")).subscribe("payment_svc.events", 100, money)
    await (await rabbit.bus("notification_svc")).subscribe("notification_svc.events", 100, post)
    await publish(publisher, [*news, *other, *news[:3]])
    await post.has(33)
    await money.has(38)  # payment_svc consumes both
    done = await given(endpoints)
    assert done.by_type == {orders.OrderConfirmed.TYPE: 30}
    await post.has(63)
    again = {wire_message.message_id: wire_message for wire_message in post.wire_messages[33:]}
    assert {id_: as_kept(wire_message) for id_, wire_message in again.items()} == {
        p.message_id: as_kept(p) for p in news
    }
    for wire_message in again.values():
        parse(wire_message, CATALOG, reader="notification_svc")  # it is accepted, as sent by the operator
    assert len(money.wire_messages) == 38
    assert len(await read(endpoints)) == 38  # and backfilled events are not journaled again


async def test_backfill_omits_messages_of_foreign_senders(
    rabbit: RabbitMq, endpoints: ShopEndpoints, publisher: RabbitBus
) -> None:
    forged, true = confirmed(), confirmed()
    await publish(publisher, [true])
    async with await aio_pika.connect(endpoints.amqp_url(OPERATOR)) as connection:
        channel = await connection.channel()
        message = aio_pika.Message(
            forged.body, message_id=forged.message_id, type=forged.type, content_type=forged.content_type
        )
        await channel.default_exchange.publish(message, NAMES.journal)
    disguised = replace(confirmed(), routing_key=inventory.StockReserved.TYPE)
    await publish(await rabbit.bus("inventory_svc"), [disguised])
    done = await given(endpoints)
    assert done.count == 1
    straight, wrong_sender = done.left_out
    assert "straight into the queue" in straight and "must come from order_svc" in wrong_sender


async def test_backfill_never_makes_a_bounded_queue_lose_its_oldest(
    rabbit: RabbitMq, endpoints: ShopEndpoints, publisher: RabbitBus, api: httpx.AsyncClient
) -> None:
    news = {id_ for _ in range(3) for id_ in await publish(publisher, [confirmed() for _ in range(100)])}
    await bounded(api, endpoints, "notification_svc.events", 10)
    async with rabbit.vhost.admin as admin:
        assert await admin.limit(endpoints.vhost, "notification_svc.events") == Limit(10, None)
    slow = SlowInbox()
    await (await rabbit.bus("notification_svc")).subscribe("notification_svc.events", 1, slow)
    await until(lambda: waiting(endpoints), lambda left: left == 0, within_s=WAIT_S_MAX)
    assert not news <= set(slow.ids), "the bound has eaten nothing, so there is nothing to repair"
    done = await given(endpoints)
    assert done.count == 300
    await until(lambda: news <= set(slow.ids), within_s=WAIT_S_MAX)


class SlowInbox(Inbox):
    """A service that handles messages slowly."""

    async def _settle(self, delivery: Delivery) -> None:
        await asyncio.sleep(0.005)
        await super()._settle(delivery)


async def waiting(endpoints: ShopEndpoints) -> int:
    async with await aio_pika.connect(endpoints.amqp_url(OPERATOR)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("notification_svc.events", passive=True)
        return queue.declaration_result.message_count or 0


async def test_backfill_to_a_blocked_service_ends_with_an_error(
    endpoints: ShopEndpoints, publisher: RabbitBus, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "NO_ROOM_S_MAX", 1.0)
    await publish(publisher, [confirmed() for _ in range(50)])
    await bounded(api, endpoints, "notification_svc.events", 10)
    with pytest.raises(InfrastructureUnavailable, match="start notification_svc"):
        await given(endpoints)
    assert await waiting(endpoints) <= 10


async def test_backfill_without_the_queue_is_reported_with_the_remedy(
    rabbit: RabbitMq, endpoints: ShopEndpoints
) -> None:
    await rabbit.delete_queue("notification_svc.events")
    with pytest.raises(InfrastructureUnavailable, match="topology apply"):
        await given(endpoints)


async def test_a_queue_deleted_during_backfill_is_reported_with_remedy(
    rabbit: RabbitMq, endpoints: ShopEndpoints
) -> None:
    async with backfill.throttled_publisher(endpoints, notification_service(), 1_000) as inlet:
        await rabbit.delete_queue("notification_svc.events")
        with pytest.raises(InfrastructureUnavailable, match="topology apply"):
            await inlet.give([confirmed()])

"""Faults that only a real broker has: frozen peers, closed connections, permissions, the journal."""

import asyncio
from dataclasses import replace
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from chassis.bus import rabbitmq_subscription
from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.protocol import BusUnavailable, MessageNotEncodable, QueueMissing
from chassis.bus.rabbitmq import RabbitBus
from contracts.catalog import NAMES
from tests.support.brokers import RESPONSE_S_MAX, RabbitMq
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX, Inbox, placed, reminder

pytestmark = pytest.mark.real

INVENTORY, ORDERS = "inventory_svc.events", "order_svc.commands"
SILENT_S = 2.0  # time limit for responses that never come; expected responses may take longer


async def test_every_event_is_in_the_journal(rabbit: RabbitMq) -> None:
    wire_messages = [placed() for _ in range(50)]
    assert await (await rabbit.bus("order_svc")).publish(wire_messages) == [None] * 50
    read: list[AbstractIncomingMessage] = []

    async def on_message(message: AbstractIncomingMessage) -> None:
        read.append(message)
        await message.ack()

    async with await aio_pika.connect(rabbit.vhost.url("operator")) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        journal = await channel.get_queue(NAMES.journal, ensure=False)
        await journal.consume(on_message, arguments={"x-stream-offset": "first"})
        await until(lambda: len(read) == 50, within_s=WAIT_S_MAX)
    assert [(message.message_id, message.body) for message in read] == [
        (p.message_id, p.body) for p in wire_messages
    ]


async def test_connections_closed_by_the_operator_are_reopened(rabbit: RabbitMq) -> None:
    inbox = Inbox(acks=False)
    consumer, sender = await rabbit.bus("inventory_svc"), await rabbit.bus("order_svc")
    await consumer.subscribe(INVENTORY, 10, inbox)
    await sender.publish([placed()])
    await inbox.has(1)
    closed = 0
    async with asyncio.timeout(2 * WAIT_S_MAX), rabbit.vhost.admin as admin:
        while closed < 4:  # the management API lists a connection with a delay
            closed += await admin.close_connections(rabbit.vhost.name)
            await asyncio.sleep(0.1)
    await until(lambda: consumer.ready and sender.ready, within_s=WAIT_S_MAX)
    await inbox.has(2)
    # The sender may be the last to notice that its connection is closed.
    await until(lambda: sender.publish([placed()]), lambda results: results == [None], within_s=WAIT_S_MAX)
    await inbox.has(3)


async def test_a_connection_lost_during_probation_restores_the_prefetch(
    rabbit: RabbitMq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivered message is not settled, so no further delivery can widen the prefetch again."""
    monkeypatch.setattr(rabbitmq_subscription, "PROBATION_S", 3.0)
    inbox = Inbox(acks=False)
    consumer, sender = await rabbit.bus("inventory_svc"), await rabbit.bus("order_svc")
    await consumer.subscribe(INVENTORY, 10, inbox)
    wire_messages = [placed(), placed()]
    assert await sender.publish(wire_messages) == [None, None]
    await inbox.has(1)
    rabbit.proxy.cut()
    await inbox.has(2)
    await until(
        lambda: set(inbox.ids) == {wire_message.message_id for wire_message in wire_messages},
        within_s=WAIT_S_MAX,
    )


async def test_a_consumer_that_the_broker_has_forgotten_is_replaced(
    rabbit: RabbitMq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own right suffices to ask how many messages wait. The broker ends the consumer without
    notifying it, as may happen if a queue leader fails while its queue is deleted and declared again.
    """
    monkeypatch.setattr(rabbitmq_subscription, "LOOK_S", 0.3)
    inbox = Inbox(acks=True)
    consumer, sender = await rabbit.bus("inventory_svc"), await rabbit.bus("order_svc")
    subscription = await consumer.subscribe(INVENTORY, 1, inbox)
    channel = subscription._channel
    assert channel is not None
    await channel.basic_cancel(subscription._tag)
    assert await sender.publish([placed(), placed()]) == [None, None]
    await inbox.has(2)
    assert subscription._channel is not channel


async def test_a_missing_virtual_host_is_named(rabbit: RabbitMq) -> None:
    bus = RabbitBus(rabbit.vhost.url("order_svc").replace(rabbit.vhost.name, "missing"))
    with pytest.raises(BusUnavailable, match="no such virtual host"):
        await bus.start()


async def test_a_frozen_broker_is_unavailable_in_time_and_reused_later(
    rabbit: RabbitMq,
) -> None:
    sender = await rabbit.bus("order_svc")
    assert await sender.publish([placed()]) == [None]
    rabbit.proxy.freeze()
    sender._response_s_max = SILENT_S
    async with asyncio.timeout(WAIT_S_MAX):
        results = await sender.publish([placed() for _ in range(300)])
    assert all(isinstance(result, BusUnavailable) for result in results)
    sender._response_s_max = RESPONSE_S_MAX
    rabbit.proxy.thaw()
    assert await sender.publish([placed()]) == [None]


@pytest.mark.parametrize("prefetch", [1, 4, 100])
async def test_acknowledgements_are_batched_without_delaying_deliveries(
    rabbit: RabbitMq, monkeypatch: pytest.MonkeyPatch, prefetch: int
) -> None:
    """The broker delivers no more than the prefetch before it has processed some acknowledgements."""
    monkeypatch.setattr(rabbitmq_subscription, "SETTLE_S", 3600.0)
    monkeypatch.setattr(rabbitmq_subscription, "PROBATION_S", 0.0)
    writes = 0

    def write(*frames: Any) -> None:
        nonlocal writes
        writes += 1
        amqp_write(*frames)

    amqp_write = aiormq_connection.write
    monkeypatch.setattr(aiormq_connection, "write", write)
    inbox = Inbox()
    await (await rabbit.bus("inventory_svc")).subscribe(INVENTORY, prefetch, inbox)
    await (await rabbit.bus("order_svc")).publish([placed() for _ in range(100)])
    await inbox.has(100)
    assert writes <= 100 // (prefetch // 4 + 1)


async def test_an_acknowledgement_that_nothing_follows_is_written_too(rabbit: RabbitMq) -> None:
    inbox = Inbox(acks=False)
    await (await rabbit.bus("inventory_svc")).subscribe(INVENTORY, 100, inbox)
    await (await rabbit.bus("order_svc")).publish([placed()])
    await inbox.has(1)
    async with rabbit.vhost.admin as admin:
        await until(
            lambda: admin.depths(rabbit.vhost.name),
            lambda depths: depths[INVENTORY].unacked == 1,
            within_s=WAIT_S_MAX,
        )
        await inbox.deliveries[0].ack()
        await until(
            lambda: admin.depths(rabbit.vhost.name),
            lambda depths: depths[INVENTORY].unacked == 0,
            within_s=WAIT_S_MAX,
        )


@pytest.mark.parametrize("turns", [0, 2, 5, 10, 15])
async def test_acknowledging_on_a_dying_connection_takes_no_time(rabbit: RabbitMq, turns: int) -> None:
    """At any point of the connection's end.

    Plain aiormq would let the eleventh acknowledgement wait forever.
    """
    inbox = Inbox(acks=False)
    await (await rabbit.bus("inventory_svc")).subscribe(INVENTORY, 100, inbox)
    await (await rabbit.bus("order_svc")).publish([placed() for _ in range(100)])
    await inbox.has(100)
    rabbit.proxy.cut()
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(WAIT_S_MAX):
        for delivery in inbox.deliveries[:100]:
            await delivery.ack()
    await inbox.has(200)


async def test_a_connection_that_stays_frozen_is_replaced(rabbit: RabbitMq) -> None:
    """The heartbeat detects it; pending publishes get an error, and no task is cancelled."""
    inbox = Inbox(acks=False)
    consumer = await rabbit.bus("inventory_svc", heartbeat_s=3)
    sender = await rabbit.bus("order_svc", heartbeat_s=3)
    rabbitmq_subscription = await consumer.subscribe(INVENTORY, 100, inbox)
    await sender.publish([placed() for _ in range(10)])
    await inbox.has(10)
    rabbit.proxy.freeze()
    sender._response_s_max = SILENT_S

    async def insist() -> set[type]:
        responses: set[type] = set()
        while rabbitmq_subscription.alive or sender.ready:
            responses |= {type(result) for result in await sender.publish([placed()])}
        return responses

    async with asyncio.timeout(2 * WAIT_S_MAX):
        assert await insist() == {BusUnavailable}
    rabbit.proxy.thaw()
    await until(lambda: consumer.ready and sender.ready, within_s=WAIT_S_MAX)
    await inbox.has(20)


async def test_a_lost_connection_cancels_no_task(rabbit: RabbitMq) -> None:
    sender = await rabbit.bus("order_svc")
    assert await sender.publish([placed()]) == [None]
    rabbit.proxy.freeze()
    sender._response_s_max = 3_600.0  # only the end of the connection can end the wait for confirms

    async def lose_it() -> None:
        rabbit.proxy.cut()
        rabbit.proxy.thaw()

    async with asyncio.timeout(WAIT_S_MAX):
        results, _ = await asyncio.gather(sender.publish([placed() for _ in range(50)]), lose_it())
    assert all(isinstance(result, BusUnavailable) for result in results)


async def test_a_dead_connection_is_distinguished_from_a_cancellation() -> None:
    """aiormq ends calls that wait on a dead connection with CancelledError."""
    response: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        async with aiormq_connection.broker_call(10):
            await response

    response.set_exception(asyncio.CancelledError())
    with pytest.raises(BusUnavailable, match="died"):
        await wait()

    response = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancelled_publish_is_really_cancelled(rabbit: RabbitMq) -> None:
    sender = await rabbit.bus("order_svc")
    rabbit.proxy.freeze()
    publishing = asyncio.create_task(sender.publish([placed()]))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    rabbit.proxy.thaw()
    assert await sender.publish([placed()]) == [None]


async def test_a_service_cannot_publish_with_the_user_id_of_another(rabbit: RabbitMq) -> None:
    """Our bus always sends its own user_id; the broker rejects any other."""
    inbox = Inbox()
    await (await rabbit.bus("inventory_svc")).subscribe(INVENTORY, 10, inbox)
    lie = replace(placed(), user_id="payment_svc")
    assert await (await rabbit.bus("order_svc")).publish([lie]) == [None]
    await inbox.has(1)
    assert inbox.wire_messages[0].user_id == "order_svc"

    with pytest.raises(ChannelPreconditionFailed, match="user_id"):
        await _publish_raw(rabbit.vhost, "order_svc", "events", "order.placed.v1", user_id="payment_svc")
    with pytest.raises(ChannelAccessRefused):
        await _publish_raw(rabbit.vhost, "client", "commands", "payment.capture.v1")


async def test_a_service_cannot_declare_or_read_foreign_queues(rabbit: RabbitMq) -> None:
    bus = await rabbit.bus("payment_svc")
    with pytest.raises(QueueMissing, match=r"lacks the right to read from.*order_svc\.commands"):
        await bus.subscribe(ORDERS, 10, Inbox())
    async with await aio_pika.connect(rabbit.vhost.url("payment_svc")) as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue("mine")


async def test_an_unencodable_message_fails_alone(rabbit: RabbitMq) -> None:
    bus = await rabbit.bus("order_svc")
    strange: Any = replace(reminder(), headers={"no such": object()})
    long = replace(reminder(), app_id="x" * 300)
    heavy = replace(reminder(), headers={"stack": "x" * 140_000})
    results = await bus.publish([reminder(), strange, long, heavy, reminder()])
    assert [type(result) for result in results] == [
        type(None),
        MessageNotEncodable,
        MessageNotEncodable,
        MessageNotEncodable,
        type(None),
    ]


async def _publish_raw(vhost: VirtualHost, user: str, exchange: str, key: str, **properties: Any) -> None:
    async with await aio_pika.connect(vhost.url(user)) as connection:
        channel = await connection.channel()
        where = await channel.get_exchange(exchange, ensure=False)
        await where.publish(aio_pika.Message(b"{}", message_id="1", **properties), key)

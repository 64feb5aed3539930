"""What every bus guarantees: each test runs on the in-memory broker and on RabbitMQ."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chassis.bus import rabbitmq_subscription
from chassis.bus.protocol import Unroutable
from chassis.bus.retry_ladder import RetryLadder
from chassis.core import retry
from chassis.messaging.envelope import BODY_BYTES_MAX, WireMessage
from inventory_svc.service import inventory_service
from tests.support.brokers import Broker
from tests.support.eventually import until
from tests.support.recording_consumer import (
    WAIT_S_MAX,
    Inbox,
    as_kept,
    captured,
    consumed_by_none,
    placed,
    reminder,
    widened,
)

LADDER = RetryLadder().names

INVENTORY = "inventory_svc.events"
PAYMENT = "payment_svc.events"
ORDERS = "order_svc.commands"
NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


async def test_a_message_arrives_with_every_property_and_byte(broker: Broker) -> None:
    inbox, wire_message = Inbox(), placed()
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 10, inbox)
    assert await (await broker.bus("order_svc")).publish([wire_message]) == [None]
    await inbox.has(1)
    assert as_kept(inbox.wire_messages[0]) == as_kept(wire_message)
    assert (inbox.wire_messages[0].exchange, inbox.wire_messages[0].routing_key) == (
        "events",
        "order.placed.v1",
    )
    assert inbox.wire_messages[0].user_id == "order_svc"
    assert inbox.deliveries[0].queue == INVENTORY


async def test_an_event_reaches_every_queue_that_is_bound_to_it(broker: Broker) -> None:
    wire_message = placed()
    inboxes = {"inventory_svc": Inbox(), "payment_svc": Inbox()}
    for service, inbox in inboxes.items():
        await (await broker.bus(service)).subscribe(f"{service}.events", 10, inbox)
    assert await (await broker.bus("order_svc")).publish([wire_message]) == [None]
    for inbox in inboxes.values():
        await inbox.has(1)
        assert inbox.ids == [wire_message.message_id]


async def test_a_thousand_messages_in_one_call_all_arrive_once(broker: Broker) -> None:
    inbox, wire_messages = Inbox(), [placed() for _ in range(1000)]
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 100, inbox)
    assert await (await broker.bus("order_svc")).publish(wire_messages) == [None] * 1000
    await inbox.has(1000)
    assert inbox.ids == [wire_message.message_id for wire_message in wire_messages]


async def test_nothing_to_publish_is_no_error(broker: Broker) -> None:
    assert await (await broker.bus("order_svc")).publish([]) == []


async def test_acknowledged_messages_are_not_redelivered(broker: Broker) -> None:
    inbox, wire_messages = Inbox(), [placed() for _ in range(50)]
    bus = await broker.bus("inventory_svc")
    await bus.subscribe(INVENTORY, 10, inbox)
    sender = await broker.bus("order_svc")
    await sender.publish(wire_messages)
    await inbox.has(50)
    await bus.stop()

    later, marker = Inbox(), placed()
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 10, later)
    assert await sender.publish([marker]) == [None]
    await later.has(1)
    assert later.ids == [marker.message_id]


async def test_a_requeued_message_is_redelivered(broker: Broker) -> None:
    inbox, wire_message = Inbox(acks=False), placed()
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 10, inbox)
    await (await broker.bus("order_svc")).publish([wire_message])
    await inbox.has(1)
    await inbox.deliveries[0].requeue()
    await inbox.has(2)
    assert as_kept(inbox.wire_messages[1]) == as_kept(wire_message)


async def test_unacknowledged_deliveries_never_exceed_the_prefetch(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first delivery is settled, during which a consumer might die."""
    monkeypatch.setattr(rabbitmq_subscription, "PROBATION_S", 0.0)
    inbox = Inbox(acks=False)
    other_inbox = Inbox()
    wire_messages = [placed() for _ in range(10)]
    subscription = await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 3, inbox)
    await (await broker.bus("payment_svc")).subscribe(PAYMENT, 10, other_inbox)
    await (await broker.bus("order_svc")).publish([placed()])
    await inbox.has(1)
    await widened(subscription)
    await inbox.deliveries.pop().ack()
    await (await broker.bus("order_svc")).publish(wire_messages)
    await other_inbox.has(11)
    await inbox.has(3)
    for handled in range(7):
        assert len(inbox.deliveries) == 3 + handled
        await inbox.deliveries[handled].ack()
        await inbox.has(4 + handled)
    assert inbox.ids == [wire_message.message_id for wire_message in wire_messages]


async def test_two_consumers_share_a_queue(broker: Broker) -> None:
    inboxes = [Inbox(acks=False), Inbox(acks=False)]
    for inbox in inboxes:
        await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 5, inbox)
    wire_messages = [placed() for _ in range(10)]
    await (await broker.bus("order_svc")).publish(wire_messages)
    for inbox in inboxes:
        await inbox.has(4)  # a new consumer may get one more than its prefetch
    await until(lambda: sum(len(inbox.deliveries) for inbox in inboxes) == 10, within_s=WAIT_S_MAX)
    shared = [id_ for inbox in inboxes for id_ in inbox.ids]
    assert sorted(map(str, shared)) == sorted(str(wire_message.message_id) for wire_message in wire_messages)


async def test_a_paused_subscription_takes_no_more_until_it_is_resumed(broker: Broker) -> None:
    inbox, others = Inbox(acks=False), Inbox()
    rabbitmq_subscription = await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 10, inbox)
    await (await broker.bus("payment_svc")).subscribe(PAYMENT, 10, others)
    sender = await broker.bus("order_svc")
    await sender.publish([placed()])
    await inbox.has(1)
    await rabbitmq_subscription.pause()
    await rabbitmq_subscription.pause()
    await sender.publish([placed() for _ in range(5)])
    await others.has(6)
    assert len(inbox.deliveries) == 1
    await inbox.deliveries[0].ack()  # a delivery can still be settled
    await rabbitmq_subscription.resume()
    await inbox.has(6)
    assert rabbitmq_subscription.alive


async def test_an_unroutable_command_fails_alone(broker: Broker) -> None:
    inbox = Inbox()
    bus = await broker.bus("operator")
    await bus.subscribe(ORDERS, 10, inbox)
    first, second = reminder(), reminder()
    results = await bus.publish([first, consumed_by_none(), second])
    assert [type(result) for result in results] == [type(None), Unroutable, type(None)]
    await inbox.has(2)
    assert inbox.ids == [first.message_id, second.message_id]


async def test_a_forbidden_message_fails_alone(broker: Broker) -> None:
    inbox = Inbox()
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 300, inbox)
    bus = await broker.bus("order_svc")
    innocent = [placed() for _ in range(200)]
    forged = captured()
    results, others = await asyncio.gather(
        bus.publish([*innocent[:50], forged, *innocent[50:100]]), bus.publish(innocent[100:])
    )
    assert [str(result) for result in results if result is not None] == [str(results[50])]
    assert isinstance(results[50], Unroutable)
    assert others == [None] * 100
    await inbox.has(200)
    assert {wire_message.message_id for wire_message in innocent} == set(inbox.ids)


async def test_a_message_to_a_missing_exchange_fails_alone(broker: Broker) -> None:
    bus = await broker.bus("operator")
    nowhere = placed().with_route("no.such.exchange", "key")
    results = await bus.publish([placed(), nowhere, placed()])
    assert [type(result) for result in results] == [type(None), Unroutable, type(None)]
    assert await bus.publish([placed()]) == [None]


async def test_the_same_id_published_twice_at_once_is_confirmed_twice(broker: Broker) -> None:
    """This happens when one instance handles a message and its redelivery at once."""
    inbox, wire_message = Inbox(), reminder()
    bus = await broker.bus("operator")
    await bus.subscribe(ORDERS, 10, inbox)
    astray = consumed_by_none()
    lost = WireMessage(
        astray.exchange, astray.routing_key, wire_message.body, wire_message.message_id, None, None, None
    )
    results = await asyncio.gather(
        *(bus.publish([each, reminder()]) for each in (wire_message, lost, wire_message))
    )
    assert [type(result[0]) for result in results] == [type(None), Unroutable, type(None)]
    await inbox.has(5)
    assert inbox.ids.count(wire_message.message_id) == 2


async def test_a_retried_message_returns_unchanged_to_its_queue(broker: Broker) -> None:
    inbox, wire_message = Inbox(), placed()
    bus = await broker.bus("inventory_svc")
    await bus.subscribe(INVENTORY, 10, inbox)
    await (await broker.bus("order_svc")).publish([wire_message])
    await inbox.has(1)
    for attempt in (1, 2):
        again = retry.after_failure(
            inbox.wire_messages[-1],
            RuntimeError("a bug"),
            queue=INVENTORY,
            service=inventory_service(),
            now=NOW,
        )
        assert again.exchange == LADDER[attempt - 1]
        assert await bus.publish([again]) == [None]
        await inbox.has(1 + attempt)
        back = inbox.wire_messages[-1]
        assert back.attempt == attempt
        assert back.user_id == "inventory_svc"
        first = {"origin_user": "order_svc", "origin_exchange": "events", "origin_key": "order.placed.v1"}
        assert as_kept(back) == as_kept(wire_message.with_route("", "", attempt=attempt))
        assert {name: back.headers[name] for name in first} == first


async def test_a_dead_letter_waits_in_its_services_own_queue(broker: Broker) -> None:
    inbox, wire_message = Inbox(), placed()
    bus = await broker.bus("inventory_svc")
    await bus.subscribe("inventory_svc.dead", 10, inbox)
    dead_letter = retry.dead_letter(
        wire_message, RuntimeError("why"), queue=INVENTORY, service=inventory_service(), now=NOW
    )
    assert await bus.publish([dead_letter]) == [None]
    await inbox.has(1)
    assert inbox.wire_messages[0].body == wire_message.body
    assert inbox.wire_messages[0].headers["error"] == "RuntimeError: why"
    assert inbox.wire_messages[0].headers["origin_queue"] == INVENTORY


@pytest.mark.parametrize("size", [0, 131_072, BODY_BYTES_MAX])
async def test_a_body_of_any_size_that_is_allowed_arrives_whole(broker: Broker, size: int) -> None:
    """Of a longer body, the reader keeps the beginning."""
    inbox, bus = Inbox(), await broker.bus("order_svc")
    await bus.subscribe(ORDERS, 10, inbox)
    wire_message = replace(reminder(), body=bytes(index % 251 for index in range(size)))
    assert await bus.publish([wire_message, reminder()]) == [None, None]
    await inbox.has(2)
    assert inbox.wire_messages[0].body == wire_message.body


async def test_a_message_without_an_id_is_published_or_returned(broker: Broker) -> None:
    inbox, bus = Inbox(), await broker.bus("operator")
    await bus.subscribe(ORDERS, 10, inbox)
    nameless = [
        replace(wire_message, message_id=None)
        for wire_message in (reminder(), consumed_by_none(), reminder())
    ]
    results = await bus.publish(nameless)
    assert [type(result) for result in results] == [type(None), Unroutable, type(None)]
    await inbox.has(2)

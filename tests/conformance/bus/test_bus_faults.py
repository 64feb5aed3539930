"""What every bus guarantees when connections, queues or the whole broker fail and recover."""

from dataclasses import replace

import pytest

from chassis.bus.protocol import BusUnavailable, QueueMissing
from tests.support.brokers import Broker
from tests.support.eventually import until
from tests.support.recording_consumer import WAIT_S_MAX, Inbox, placed

INVENTORY, PAYMENT = "inventory_svc.events", "payment_svc.events"


async def test_a_delivery_counts_its_redeliveries(broker: Broker) -> None:
    """A sender cannot forge the count, and other messages are not counted."""
    inbox = Inbox(acks=False)
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 10, inbox)
    wire_message = placed()
    claimed = replace(wire_message, headers={**wire_message.headers, "x-delivery-count": 7})
    await (await broker.bus("order_svc")).publish([claimed])
    for returned in range(3):
        await inbox.has(returned + 1)
        assert inbox.deliveries[-1].returned == returned
        await broker.cut()
    await inbox.has(4)
    await inbox.deliveries[-1].ack()
    await (await broker.bus("order_svc")).publish([placed()])
    await inbox.has(5)
    assert inbox.deliveries[-1].returned == 0


async def test_unacknowledged_messages_are_redelivered_after_a_lost_connection(broker: Broker) -> None:
    inbox, wire_messages = Inbox(acks=False), [placed(), placed()]
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 10, inbox)
    sender = await broker.bus("order_svc")
    await sender.publish(wire_messages)
    await inbox.has(2)
    await broker.cut()
    await inbox.has(4)
    assert sorted(map(str, inbox.ids[2:])) == sorted(
        str(wire_message.message_id) for wire_message in wire_messages
    )
    for late in inbox.deliveries[:2]:
        await late.ack()  # no error, and no effect on the new copies
    await until(lambda: sender.ready, within_s=WAIT_S_MAX)
    assert await sender.publish([placed()]) == [None]
    await inbox.has(5)
    await broker.cut()
    await inbox.has(8)


async def test_a_stopped_bus_requeues_unacknowledged_messages(broker: Broker) -> None:
    held, wire_message = Inbox(acks=False), placed()
    bus = await broker.bus("inventory_svc")
    await bus.subscribe(INVENTORY, 10, held)
    await (await broker.bus("order_svc")).publish([wire_message])
    await held.has(1)
    await bus.stop()
    other = Inbox()
    await (await broker.bus("inventory_svc")).subscribe(INVENTORY, 10, other)
    await other.has(1)
    assert other.ids == [wire_message.message_id]


async def test_a_queue_that_does_not_exist_is_named(broker: Broker) -> None:
    bus = await broker.bus("inventory_svc")
    await broker.delete_queue(INVENTORY)
    with pytest.raises(QueueMissing, match=INVENTORY):
        await bus.subscribe(INVENTORY, 10, Inbox())


async def test_a_deleted_queue_is_consumed_again_once_it_is_back(broker: Broker) -> None:
    inbox = Inbox()
    bus = await broker.bus("inventory_svc")
    subscription = await bus.subscribe(INVENTORY, 10, inbox)
    assert bus.ready
    await broker.delete_queue(INVENTORY)
    await until(lambda: not subscription.alive, within_s=WAIT_S_MAX)
    assert not bus.ready
    await broker.apply_topology()
    await until(lambda: subscription.alive and bus.ready, within_s=WAIT_S_MAX)
    wire_message = placed()
    assert await (await broker.bus("order_svc")).publish([wire_message]) == [None]
    await inbox.has(1)
    assert inbox.ids == [wire_message.message_id]


async def test_the_bus_reconnects_after_a_broker_outage(broker: Broker) -> None:
    inbox = Inbox()
    consumer, sender = await broker.bus("inventory_svc"), await broker.bus("order_svc")
    subscription = await consumer.subscribe(INVENTORY, 10, inbox)
    await sender.publish([placed()])
    await inbox.has(1)
    await broker.leave()
    results = await sender.publish([placed(), placed()])
    assert all(isinstance(result, BusUnavailable) for result in results)
    await until(
        lambda: not subscription.alive and not consumer.ready and not sender.ready, within_s=WAIT_S_MAX
    )
    with pytest.raises(BusUnavailable):
        await broker.bus("inventory_svc")
    await broker.come_back()
    await until(lambda: consumer.ready and sender.ready, within_s=WAIT_S_MAX)
    wire_message = placed()
    assert await sender.publish([wire_message]) == [None]
    await until(lambda: wire_message.message_id in inbox.ids, within_s=WAIT_S_MAX)


async def test_a_paused_subscription_stays_paused_when_the_broker_returns(broker: Broker) -> None:
    inbox, others = Inbox(), Inbox()
    consumer, sender = await broker.bus("inventory_svc"), await broker.bus("order_svc")
    subscription = await consumer.subscribe(INVENTORY, 10, inbox)
    await (await broker.bus("payment_svc")).subscribe(PAYMENT, 10, others)
    await subscription.pause()
    await broker.leave()
    await until(lambda: not consumer.ready and not sender.ready, within_s=WAIT_S_MAX)
    await broker.come_back()
    await until(lambda: consumer.ready and sender.ready, within_s=WAIT_S_MAX)
    assert await sender.publish([placed()]) == [None]
    await others.has(1)
    assert inbox.deliveries == []
    await subscription.resume()
    await inbox.has(1)

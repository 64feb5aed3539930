"""A subscription starts another consumer whenever the broker does not serve the one it has."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from pamqp.commands import Queue

from chassis.bus import rabbitmq_subscription
from chassis.bus.aiormq_frames.messages import RawDelivery
from chassis.bus.protocol import Delivery
from chassis.bus.rabbitmq_subscription import RabbitSubscription
from chassis.messaging.envelope import WireMessage

QUEUE = "inventory_svc.events"
WIRE_MESSAGE = WireMessage("events", "order.placed.v1", b"", None, None, None, None)


class Channel:
    """The calls of aiormq's channel that a subscription awaits; `silent` calls get no reply."""

    def __init__(self, waiting: int = 0, silent: str = "") -> None:
        self.is_closed = False
        self.on_consumer_cancel_callbacks: set[object] = set()
        self.consumers = list[str]()
        self.waiting = waiting
        self._silent = silent

    async def _reply(self, call: str) -> None:
        if call == self._silent:
            await asyncio.Event().wait()

    async def basic_qos(self, prefetch_count: int) -> None:
        await self._reply("basic_qos")

    async def basic_consume(self, queue: str, _: object, consumer_tag: str) -> None:
        await self._reply("basic_consume")
        self.consumers.append(consumer_tag)

    async def queue_declare(self, queue: str, *, passive: bool) -> Queue.DeclareOk:
        assert passive
        await self._reply("queue_declare")
        return Queue.DeclareOk(queue, self.waiting, 0)

    async def close(self) -> None:
        self.is_closed = True


class Connection:
    def __init__(self, *channels: Channel) -> None:
        self._left = list(channels)

    async def channel(self, take: object) -> Channel:
        return self._left.pop(0)


def subscription_on(*channels: Channel) -> RabbitSubscription:
    connection: Any = Connection(*channels)
    # A larger prefetch would be set on the channel after a second, by a task that outlives the test.
    return RabbitSubscription(connection, QUEUE, 1, lambda delivery: None)


async def look(subscription: RabbitSubscription) -> None:
    """As the reconnect loop does, which limits the time of each call."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await subscription.consume()


@pytest.mark.parametrize("call", ["basic_qos", "basic_consume"])
async def test_a_consumer_that_the_broker_did_not_confirm_is_replaced(call: str) -> None:
    silent, good = Channel(silent=call), Channel()
    subscription = subscription_on(silent, good)
    await look(subscription)
    assert not subscription.alive
    await look(subscription)
    assert silent.is_closed
    assert good.consumers
    assert subscription.alive


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq_subscription, "LOOK_S", 0.0)


@pytest.mark.usefixtures("always_due")
class TestForgottenConsumer:
    async def test_a_consumer_is_replaced_if_messages_wait_in_two_checks(self) -> None:
        forgotten, good = Channel(waiting=3), Channel()
        subscription = subscription_on(forgotten, good)
        for _ in range(2):
            await look(subscription)
            assert not forgotten.is_closed
        await look(subscription)
        assert forgotten.is_closed
        assert good.consumers

    async def test_a_consumer_stays_if_no_message_waits(self) -> None:
        channel = Channel()
        subscription = subscription_on(channel)
        for _ in range(5):
            await look(subscription)
        assert len(channel.consumers) == 1

    async def test_a_consumer_stays_if_it_gets_messages_between_checks(self) -> None:
        channel: Any = Channel(waiting=3)
        deliveries = list[Delivery]()
        subscription = RabbitSubscription(Connection(channel), QUEUE, 1, deliveries.append)  # type: ignore[arg-type]
        for tag in range(1, 6):
            await look(subscription)
            subscription._take(channel, RawDelivery(tag, WIRE_MESSAGE))
        assert len(channel.consumers) == 1
        assert len(deliveries) == 5

    async def test_a_consumer_stays_while_its_messages_are_being_handled(self) -> None:
        """The others wait because the prefetch is used up."""
        channel: Any = Channel(waiting=3)
        subscription = subscription_on(channel)
        await look(subscription)
        subscription._take(channel, RawDelivery(1, WIRE_MESSAGE))
        for _ in range(5):
            await look(subscription)
        assert len(channel.consumers) == 1

    async def test_a_consumer_is_replaced_if_the_broker_does_not_respond(self) -> None:
        silent, good = Channel(silent="queue_declare"), Channel()
        subscription = subscription_on(silent, good)
        for _ in range(3):
            await look(subscription)
        assert silent.is_closed
        assert good.consumers

"""A connection for the real RabbitSubscription, so that its prefetch and its probation are simulated too."""

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from pamqp.commands import Basic, Queue
from pamqp.frame import unmarshal

from chassis.bus.aiormq_frames.messages import RawDelivery
from chassis.bus.memory import MemorySubscription, returns
from chassis.bus.protocol import BusUnavailable, Receive
from chassis.bus.rabbitmq_subscription import RabbitSubscription
from chassis.messaging.envelope import WireMessage

if TYPE_CHECKING:
    from tests.simulation.fake_broker import Broker

RECONNECT_S = 0.3
# The time until a broker notices that a process is gone, for example by missing heartbeats when a machine
# dies. By then the next process has its full prefetch.
NOTICED_S = 4.0


class Consuming:
    """The consuming connection of one instance."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._channels: list[Channel] = []
        self._subscriptions: list[RabbitSubscription] = []
        self._reconnecting: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        return all(subscription.alive for subscription in self._subscriptions)

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> RabbitSubscription:
        connection: Any = self
        subscription = RabbitSubscription(connection, queue, prefetch, receive)
        await subscription.consume()
        self._subscriptions.append(subscription)
        if self._reconnecting is None:
            self._reconnecting = asyncio.create_task(self._reconnect())
        return subscription

    async def channel(self, take: Callable[[Any, RawDelivery], None]) -> "Channel":
        if self._broker.away:
            raise BusUnavailable("the broker is away")
        self._channels.append(Channel(self._broker, take))
        return self._channels[-1]

    async def _reconnect(self) -> None:
        while True:
            await asyncio.sleep(RECONNECT_S)
            for subscription in self._subscriptions:
                with contextlib.suppress(BusUnavailable):
                    await subscription.consume()

    def lose(self, noticed_after_s: float = 0.0) -> None:
        for channel in self._channels:
            channel.lose(noticed_after_s)

    def stop(self) -> None:
        """As when the process is killed."""
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        self.lose(NOTICED_S)


class Channel:
    """The part of aiormq's channel that a subscription uses;
    it parses the frames that the subscription writes.
    """

    number = 1

    def __init__(self, broker: "Broker", take: Callable[[Any, RawDelivery], None]) -> None:
        self._broker = broker
        self._take = take
        self.is_closed = False
        self.on_consumer_cancel_callbacks: set[object] = set()  # this broker cancels no consumer
        self.connection = self.transport = self
        self._consumers: dict[str, Consumer] = {}
        self._prefetch = 0
        self._tags = count(1)
        self._held: dict[int, tuple[Consumer, int]] = {}

    async def basic_qos(self, prefetch_count: int) -> None:
        self._prefetch = prefetch_count

    async def basic_consume(self, queue: str, _: object, consumer_tag: str) -> None:
        self._consumers[consumer_tag] = Consumer(self, self._broker, queue, consumer_tag)
        self._consumers[consumer_tag].begin(self._prefetch)

    async def basic_cancel(self, tag: str) -> None:
        self._consumers[tag].end()

    async def queue_declare(self, queue: str, *, passive: bool) -> Queue.DeclareOk:
        assert passive
        return Queue.DeclareOk(queue, len(self._broker.queues[queue]), len(self._consumers))

    async def close(self) -> None:
        self.lose()

    def lose(self, noticed_after_s: float = 0.0) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._held.clear()
        for consumer in self._consumers.values():
            consumer.end()
            self._broker.call_later(noticed_after_s, consumer.give_back)

    def write(self, data: bytes) -> None:
        while data and not self.is_closed:
            size, _, frame = unmarshal(data)
            data = data[size:]
            if isinstance(frame, Basic.Cancel) and frame.consumer_tag:
                self._consumers[frame.consumer_tag].end()
            elif isinstance(frame, Basic.Ack | Basic.Reject) and frame.delivery_tag in self._held:
                consumer, tag = self._held.pop(frame.delivery_tag)
                consumer.settle(tag, isinstance(frame, Basic.Ack))

    def deliver(self, consumer: "Consumer", name: str, tag: int, wire_message: WireMessage) -> None:
        number = next(self._tags)
        self._held[number] = consumer, tag
        asyncio.get_running_loop().call_soon(
            self._take, self, RawDelivery(number, wire_message, name, returns(wire_message))
        )


class Consumer(MemorySubscription):
    """After its end, its unsettled messages return to the queue only when its channel closes."""

    def __init__(self, channel: Channel, broker: "Broker", queue: str, name: str) -> None:
        self._channel = channel
        self._name = name
        super().__init__(broker, queue, 0, lambda delivery: None)

    def begin(self, prefetch: int) -> None:
        self._prefetch = prefetch
        self._broker.pump(self._queue)

    def take(self, wire_message: WireMessage) -> None:
        tag = next(self._numbers)
        self._held[tag] = wire_message
        self._channel.deliver(self, self._name, tag, wire_message)

    def settle(self, tag: int, done: bool) -> None:
        super().settle(tag, done)
        self._broker.pump(self._queue)

    def end(self) -> None:
        if self in self._broker.subscriptions[self._queue]:
            self._broker.subscriptions[self._queue].remove(self)

    def lose(self) -> None:
        self._channel.lose()

    def give_back(self) -> None:
        super().lose()

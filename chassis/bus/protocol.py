"""The message broker as the chassis needs it.

`rabbitmq.py` and `memory.py` implement it; one conformance suite tests both.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chassis.messaging.envelope import WireMessage


class BusUnavailable(Exception):
    """The broker was unreachable or did not respond in time. The outcome of a publish is unknown."""


class PublishingBlocked(BusUnavailable):
    """A resource alarm: the broker blocks all publishers until memory or disk space is free.

    Consumers continue.
    """

    def __init__(self, alarm: str) -> None:
        super().__init__(f"RabbitMQ takes no messages. Its reason: {alarm}")
        self.alarm = alarm


class Unroutable(Exception):
    """No queue or exchange accepts this message: the topology is not applied."""


class AccessRefused(Unroutable):
    """The broker user may not publish this message. The text names the user and the missing right."""


class MessageNotEncodable(Unroutable):
    """AMQP cannot encode this message, or its headers are too long, so no broker can carry it."""


class QueueMissing(Exception):
    """The queue to consume from does not exist, or the user may not read it. Services declare nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A message that was delivered to us. Unless acknowledged, it is delivered again, to any consumer.

    `returned`: how often it was delivered before and returned, because its consumer died or requeued it.
    """

    wire_message: WireMessage
    queue: str
    settle: Callable[[bool], Awaitable[None]]
    returned: int = 0

    async def ack(self) -> None:
        """Acknowledge. On a lost connection this does nothing:
        the message is redelivered and recognised by its id.
        """
        await self.settle(True)

    async def requeue(self) -> None:
        """Return the message to its queue, unhandled."""
        await self.settle(False)


Receive = Callable[[Delivery], None]
"""Called with each delivery between two socket reads, so it must only enqueue the delivery."""


class Subscription(Protocol):
    """Consumes one queue."""

    @property
    def alive(self) -> bool:
        """Whether the broker has our consumer registered, or we have paused it ourselves."""
        ...

    async def pause(self) -> None:
        """Stop consuming; unsettled deliveries may still be acknowledged. Idempotent."""
        ...

    async def resume(self) -> None: ...


class Bus(Protocol):
    """A connection to the broker as one broker user."""

    async def start(self) -> None:
        """Connect; raises BusUnavailable. Afterwards the connection recovers by itself."""
        ...

    async def stop(self) -> None: ...

    async def ping(self) -> None:
        """One round trip to the broker; raises BusUnavailable."""
        ...

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        """Publish a batch. One result per message: None if the broker confirmed and routed it,
        else the error.

        Without a confirm the message counts as not published. Ids within one call are distinct. If another
        call is still publishing one of the ids, this call waits for it (brokers return messages by id).
        """
        ...

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> Subscription:
        """Start to consume; raises QueueMissing or BusUnavailable. Afterwards it recovers by itself."""
        ...

    @property
    def ready(self) -> bool: ...

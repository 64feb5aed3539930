"""What the chassis needs of a message broker. `rabbit.py` and `memory.py` give it; one test suite binds both."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.envelope import WireMessage


class BusUnavailable(Exception):
    """The broker was not reached, or did not answer in time. The outcome of a publish is then unknown."""


class PublishingBlocked(BusUnavailable):
    """A resource alarm: the broker blocks all publishers until it has memory or disk space again. Consumers go on."""

    def __init__(self, alarm: str) -> None:
        super().__init__(f"RabbitMQ takes no messages. Its reason: {alarm}")
        self.alarm = alarm


class Unroutable(Exception):
    """The broker has no queue or no exchange for this parcel, or refused it: the topology is not applied."""


class MessageNotEncodable(Unroutable):
    """No broker can have this parcel: AMQP cannot encode it, or its headers are too long."""


class QueueMissing(Exception):
    """The queue to consume from does not exist. Services never declare: apply the topology."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A message in our hands. It comes again, to anyone, unless it is acknowledged.

    `returned`: how often it was delivered before and came back, because its consumer died or gave it back.
    """

    wire_message: WireMessage
    queue: str
    settle: Callable[[bool], Awaitable[None]]
    returned: int = 0

    async def ack(self) -> None:
        """Done with it. On a lost connection this does nothing: the message comes again and is known by its id."""
        await self.settle(True)

    async def requeue(self) -> None:
        """Give it back unhandled."""
        await self.settle(False)


Receive = Callable[[Delivery], None]
"""Called with each delivery, between two reads of the socket: it only puts it where work is done."""


class Subscription(Protocol):
    """Consumption of one queue."""

    @property
    def alive(self) -> bool:
        """Whether the broker really has our consumer now, or we have paused it ourselves."""
        ...

    async def pause(self) -> None:
        """Take no more; what is held may still be acknowledged. Idempotent."""
        ...

    async def resume(self) -> None: ...


class Bus(Protocol):
    """A connection to the broker, in the name of one broker user."""

    async def start(self) -> None:
        """Connect; raises BusUnavailable. Afterwards the connection heals by itself."""
        ...

    async def stop(self) -> None: ...

    async def ping(self) -> None:
        """One round trip to the broker; raises BusUnavailable."""
        ...

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        """Publish all at once; per parcel None if the broker has it in a queue, else the error.

        Confirmed and routed, or it did not happen as far as we know. Ids within one call are distinct.
        An id that another call is still publishing waits for that call (brokers return messages by id).
        """
        ...

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> Subscription:
        """Begin to consume; raises QueueMissing or BusUnavailable, later heals by itself."""
        ...

    @property
    def ready(self) -> bool: ...

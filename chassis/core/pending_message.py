"""One delivery between its arrival and its acknowledgement."""

from dataclasses import dataclass
from typing import Any

from chassis.bus.protocol import Delivery
from chassis.core.decision import RunEffect
from chassis.core.definition import Aggregate
from chassis.messaging.envelope import Envelope
from chassis.messaging.message import Message
from chassis.store.protocol import AggregateKey


@dataclass(slots=True, eq=False)
class PendingMessage:
    """A parsed delivery and the aggregate that handles it.

    `result` is what the effect returned that its decision asked for. `outcome` is set when the message has
    been decided about: the messages to publish, an effect to run first, or the error that stopped it.
    """

    delivery: Delivery
    envelope: Envelope
    message: Message
    aggregate: Aggregate[Any]
    key: str
    result: Any = None
    outcome: tuple[Envelope, ...] | RunEffect | Exception | None = None

    @property
    def aggregate_key(self) -> AggregateKey:
        return self.aggregate.kind, self.key

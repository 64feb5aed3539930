"""What a topology consists of: exchanges, queues, bindings, policies and users, as values."""

from collections.abc import Mapping
from dataclasses import dataclass

from chassis.bus.retry_ladder import Rung

Definition = dict[str, str | int]
"""The keys and values of a broker's policy."""


@dataclass(frozen=True)
class QueueBounds:
    """The limits of each inbox of a service. A full inbox drops its oldest messages, and they are counted.

    Only for a service that can do without them until an operator restores them from the journal.
    """

    messages_max: int
    bytes_max: int


@dataclass(frozen=True)
class Queue:
    name: str
    type: str = "quorum"


@dataclass(frozen=True)
class Binding:
    exchange: str
    key: str
    queue: str


@dataclass(frozen=True)
class Policy:
    name: str
    pattern: str
    definition: Definition
    apply_to: str = "queues"
    priority: int = 1


@dataclass(frozen=True)
class BrokerUser:
    """A broker user: `configure`, `write` and `read` are regular expressions over names,
    `topics` over routing keys.
    """

    name: str
    configure: str
    write: str
    read: str
    topics: Mapping[str, str]
    tags: str = ""


@dataclass(frozen=True)
class Topology:
    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    policies: tuple[Policy, ...]
    users: tuple[BrokerUser, ...]
    ladder: tuple[Rung, ...]

    def bound(self, exchange: str, key: str) -> tuple[str, ...]:
        """The queues that a message is routed to. Our bindings are for one routing key or for all (`#`)."""
        return tuple({b.queue: None for b in self.bindings if b.exchange == exchange and b.key in ("#", key)})

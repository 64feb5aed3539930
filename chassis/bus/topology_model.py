"""What a topology consists of: exchanges, queues, bindings, policies and users, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.bus.retry_ladder import Rung
from chassis.messaging.catalog import Catalog
from chassis.messaging.envelope import OPERATOR
from chassis.messaging.partitions import partition_queues

Definition = dict[str, str | int]
"""The keys and values of a broker's policy."""


@dataclass(frozen=True)
class QueueBounds:
    """The limits of each input queue of a service. A full one drops its oldest messages, which are counted.

    Only for a service that can do without them until an operator restores them from the journal.
    """

    messages_max: int
    bytes_max: int

    @property
    def half(self) -> "QueueBounds":
        """Those of the queue of added messages."""
        return QueueBounds(self.messages_max // 2, self.bytes_max // 2)


@dataclass(frozen=True)
class Queue:
    name: str
    type: str = "quorum"


@dataclass(frozen=True)
class Binding:
    """`queue`: if it is an input queue with several partitions, the binding leads to the exchange of the same
    name, which chooses one of them.
    """

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
    catalog: Catalog
    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    policies: tuple[Policy, ...]
    users: tuple[BrokerUser, ...]
    ladder: tuple[Rung, ...]
    # Input queue -> the number of its partitions, if there are several (partitioning.py).
    partitions: Mapping[str, int] = field(default_factory=dict)

    @property
    def program_users(self) -> tuple[str, ...]:
        """The names of the users by which programs log in: all but the operator, who is a person."""
        return tuple(user.name for user in self.users if user.name != OPERATOR)

    def partitions_of(self, queue: str) -> tuple[str, ...]:
        """The queues in place of this one; only itself if it has no partitions."""
        return partition_queues(queue, self.partitions.get(queue, 1))

    def bound(self, exchange: str, key: str) -> tuple[str, ...]:
        """The queues that a message is routed to; of those with partitions the name of the input queue.

        Our bindings are for one routing key or for all (`#`).
        """
        return tuple({b.queue: None for b in self.bindings if b.exchange == exchange and b.key in ("#", key)})

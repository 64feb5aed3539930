"""The names on the broker that belong to a system as a whole, and to none of its services.

Two systems with different names can share a broker or a virtual host:

    CATALOG = Catalog(orders.ORDER, declared_in=__name__, names=TopologyNames.prefixed("club_"))

The names of services and of the rungs of their retry ladders are in the service definitions.
"""

import re
from collections import Counter
from dataclasses import dataclass, fields

from chassis.messaging.message import Command, Message

# No dot: queues of services and of clients are recognised by the part before the first dot.
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class TopologyNames:
    """Raises ValueError for two equal names, and for a name with other characters than a-z, 0-9, _ and -."""

    commands: str = "commands"  # exchange of commands
    events: str = "events"  # exchange of events
    client_events: str = "client_events"  # exchange from which client programs read, and the queue before it
    dead: str = "dead"  # exchange of dead letters
    unroutable: str = "unroutable"  # exchange and queue of dead letters without a queue
    lost: str = "lost"  # exchange and queue of messages that full queues dropped
    losses: str = "losses"  # queue with the totals of dropped messages
    journal: str = "journal"  # stream of all events
    audit: str = "audit"  # stream of operators' actions
    client: str = "client"  # user of the system's own tools; other client programs have `client.<name>`
    policy_prefix: str = ""  # of the policies that belong to no service and no rung

    def __post_init__(self) -> None:
        names = [getattr(self, each.name) for each in fields(self) if each.name != "policy_prefix"]
        for name, times in Counter(names).items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name for a topology; use a letter, then a-z, 0-9, _ and -")
            if times > 1:
                raise ValueError(f"{times} things of a topology have the name {name!r}")

    @classmethod
    def prefixed(cls, prefix: str) -> "TopologyNames":
        """The default names, each with this prefix."""
        default = cls()
        return cls(
            commands=prefix + default.commands,
            events=prefix + default.events,
            client_events=prefix + default.client_events,
            dead=prefix + default.dead,
            unroutable=prefix + default.unroutable,
            lost=prefix + default.lost,
            losses=prefix + default.losses,
            journal=prefix + default.journal,
            audit=prefix + default.audit,
            client=prefix + default.client,
            policy_prefix=prefix + default.policy_prefix,
        )

    @property
    def uncounted(self) -> str:
        """The queue with a message if `lost` itself has dropped one."""
        return f"{self.lost}.uncounted"

    def exchange_of(self, contract: type[Message]) -> str:
        """The exchange to which a message of this type is published."""
        return self.commands if issubclass(contract, Command) else self.events

    def is_client(self, user: str) -> bool:
        """Whether the broker user belongs to a client program: `client` or `client.<name>`."""
        first, dot, name = user.partition(".")
        return first == self.client and (not dot or name.split() == [name])


def input_queue(service: str, contract: type[Message]) -> str:
    """The queue in which a service receives messages of this type."""
    return f"{service}.commands" if issubclass(contract, Command) else f"{service}.events"

"""Finds pending messages: emitted, but not yet handled by a service that consumes them.

The consumers of each type come from the services' definitions.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from chassis.messaging.message import Command, Sender
from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.registry import SERVICES

Handled = Mapping[str, Collection[str]]
"""Service -> ids of all messages that it has handled. Services that did not respond are missing."""


@dataclass(frozen=True)
class SentMessage:
    """A message that was sent, without its body."""

    id: str
    type: str
    subject: str
    at: datetime
    by: str


@dataclass(frozen=True)
class PendingDelivery:
    """A message that a service has still to handle.

    `certain`: the service reports it so; else it did not respond.
    """

    message: SentMessage
    service: str
    queue: str
    certain: bool

    @property
    def routed_to(self) -> str:
        """Its queue, or the queue of added messages if the release before does not know its type."""
        return _SERVICES[self.service].queue_of(CATALOG[self.message.type])

    @property
    def meaning(self) -> str:
        """The first line of its contract's docstring, e.g. which effect it requests."""
        return (CATALOG[self.message.type].__doc__ or "").partition("\n")[0]

    @property
    def is_effect(self) -> bool:
        """Whether it requests an external effect: these are the commands that a service sends to itself."""
        contract = CATALOG[self.message.type]
        return issubclass(contract, Command) and contract.SENDER is Sender.SELF

    def as_json(self) -> dict[str, str | bool]:
        return {
            "message_id": self.message.id,
            "type": self.message.type,
            "said_by": self.message.by,
            "since": self.message.at.isoformat(),
            "service": self.service,
            "queue": self.queue,
            "certain": self.certain,
        }


_SERVICES = {name: make() for name, make in SERVICES.items()}

KEPT = {
    service.name: tuple(aggregate.kind for aggregate in service.aggregates if aggregate.handled_max is None)
    for service in _SERVICES.values()
}
"""Service -> the kinds of its aggregates that keep all handled ids, so that they can be asked."""


def _consumers() -> Iterator[tuple[str, tuple[str, str]]]:
    for service in _SERVICES.values():
        for consumed, aggregate in service.by_type.items():
            if aggregate.kind in KEPT[service.name]:
                queue = service.commands_queue if issubclass(consumed, Command) else service.events_queue
                yield consumed.TYPE, (service.name, queue)


CONSUMERS_BY_TYPE: dict[str, list[tuple[str, str]]] = {}
"""Wire type -> the services that consume it, each with its queue."""
for _type, _consumer in _consumers():
    CONSUMERS_BY_TYPE.setdefault(_type, []).append(_consumer)


def awaited(sent_messages: Iterable[SentMessage], handled: Handled) -> list[PendingDelivery]:
    """Oldest first."""
    found = (
        PendingDelivery(message, service, queue, certain=service in handled)
        for message in sent_messages
        for service, queue in CONSUMERS_BY_TYPE.get(message.type, ())
        if message.id not in handled.get(service, ())
    )
    return sorted(found, key=lambda each: each.message.at)


def concerns(dead_letter: DeadLetter, order_id: str) -> bool:
    """Whether a dead letter is about this order: by its journey,
    or by its subject if the journey has another id.
    """
    return order_id in (dead_letter.journey_id, dead_letter.subject)

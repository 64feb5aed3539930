"""Folds events into the state of each order: status, awaited steps, timeline. Pure functions.

The journal can contain duplicates, and events of different services out of order. So an order is the set of
its events, and everything else is derived from the set: duplicates and order of arrival make no difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.messaging.envelope import Envelope
from chassis.messaging.message import Event, Message
from contracts import notifications
from contracts.notifications import MailKind
from contracts.order_saga import MAILS, EventType, awaited, status_of


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One event about an order. `mail`: the kind of mail, for events about mails."""

    id: str
    at: str
    contract: EventType
    mail: MailKind | None = None


@dataclass(frozen=True, slots=True)
class ProjectedOrder:
    """An order as projected from its events, which are keyed by message id."""

    events: Mapping[str, OrderEvent] = field(default_factory=dict)

    @property
    def event_types(self) -> set[EventType]:
        return {event.contract for event in self.events.values()}

    @property
    def status(self) -> str:
        """The status as in order_svc; empty without an event of order_svc."""
        latest = {
            event.contract: event.at for event in sorted(self.events.values(), key=lambda each: each.at)
        }
        return status_of(latest) or ""

    @property
    def awaits(self) -> list[str]:
        """What is awaited, and from which service."""
        event_types, mailed = self.event_types, {event.mail for event in self.events.values()}
        mails = [kind for event, kind in MAILS.items() if event in event_types and kind not in mailed]
        named = [f"{step.name} ({step.service})" for step in awaited(event_types)]
        named += [f"mail {kind} ({notifications.MailSent.OWNER})" for kind in mails]
        return list(dict.fromkeys(named))

    @property
    def timeline(self) -> list[OrderEvent]:
        return sorted(self.events.values(), key=lambda event: (event.at, event.id))


def order_of(event: Message) -> str | None:
    """The id of the order that an event is about, or None."""
    match event:
        case notifications.MailSent() | notifications.MailUndeliverable() | notifications.MailSuperseded():
            return str(event.about) if event.kind in MAILS.values() else None
        case Event(SUBJECT="order_id"):
            return event.subject
        case _:
            return None


def fold(order: ProjectedOrder, envelope: Envelope, event: Event) -> ProjectedOrder:
    """The order with one more event; a duplicate changes nothing."""
    if envelope.id in order.events:
        return order
    return ProjectedOrder({**order.events, envelope.id: order_event_of(envelope, event)})


def order_event_of(envelope: Envelope, event: Event) -> OrderEvent:
    mail = getattr(event, "kind", None)
    return OrderEvent(envelope.id, envelope.time, type(event), mail if isinstance(mail, MailKind) else None)

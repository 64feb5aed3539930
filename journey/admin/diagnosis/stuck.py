"""Finds stuck orders from handled and emitted messages and dead letters. Pure functions."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contracts.catalog import CATALOG
from contracts.orders import PlaceOrder
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis.handled_messages import Kind, subject_of
from journey.admin.diagnosis.pending_messages import PendingDelivery, SentMessage, awaited

Json = dict[str, Any]
ORDERS = "orders"


@dataclass(frozen=True)
class OrderSummary:
    """An order's status and deadline, from order_svc."""

    status: str
    deadline_at: datetime | None


@dataclass
class HandledSnapshot:
    """Handled and emitted messages of the services.

    Services that did not respond are missing in `handled`.
    """

    orders: dict[str, OrderSummary] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    sent_messages: list[SentMessage] = field(default_factory=list)
    handled: dict[str, set[str]] = field(default_factory=dict)
    subjects: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)

    def enter(self, found: Mapping[Kind, Sequence[Json]]) -> None:
        """Add the handled messages of some aggregates, as returned by their services."""
        for (service, kind), items in found.items():
            for item in items:
                self._enter(service, kind, item)

    def leave_out(self, subjects: Collection[str]) -> None:
        """Remove the aggregates with these subjects;
        the messages that they emitted still count for others.
        """
        subjects = set(subjects)
        self.keys -= subjects
        self.subjects -= subjects
        self.orders = {key: order for key, order in self.orders.items() if key not in subjects}

    def _enter(self, service: str, kind: str, item: Json) -> None:
        subject = subject_of(item)
        self.keys.add(item["key"])
        self.subjects.add(subject)
        if item["is_open"]:
            self.open.add(subject)
        self.handled.setdefault(service, set()).update(item["handled"])
        for emitted in item["said"]:
            at = datetime.fromisoformat(emitted["time"])
            self.sent_messages.append(
                SentMessage(emitted["id"], emitted["type"], emitted["subject"], at, service)
            )
        if kind == ORDERS:
            deadline = item["deadline_at"]
            self.orders[item["key"]] = OrderSummary(
                item["status"], deadline and datetime.fromisoformat(deadline)
            )


@dataclass(frozen=True)
class StuckOrder:
    """An order that is not at rest: what it awaits (oldest first), since when, and its dead letters."""

    order_id: str
    status: str
    since: datetime
    deadline_at: datetime | None
    awaited: tuple[PendingDelivery, ...]
    dead_letters: tuple[DeadLetter, ...]

    def as_json(self) -> Json:
        return {
            "order_id": self.order_id,
            "status": self.status or None,
            "since": self.since.isoformat(),
            "deadline_at": self.deadline_at and self.deadline_at.isoformat(),
            "awaited": [each.as_json() for each in self.awaited],
            "dead_letters": [dead_letter.id for dead_letter in self.dead_letters],
        }


def stuck(
    snapshot: HandledSnapshot, dead_letters: Iterable[DeadLetter], before: datetime
) -> list[StuckOrder]:
    """The orders that have been waiting since before `before`, longest first.

    An order is waiting if it has a deadline, if a responding service has still to handle a message about it,
    or if such a message is a dead letter. Work that an unresponsive service *may* still have does not make an
    order stuck.
    """
    missing: dict[str, list[PendingDelivery]] = {}
    for each in awaited(snapshot.sent_messages, snapshot.handled):
        missing.setdefault(each.message.subject, []).append(each)
    dead = _about_orders(dead_letters, snapshot)
    waiting = {order_id for order_id, order in snapshot.orders.items() if order.deadline_at is not None}
    behind = {id_ for id_ in missing.keys() & snapshot.keys if any(each.certain for each in missing[id_])}
    begun = _begun(snapshot.sent_messages)
    found = []
    for order_id in waiting | behind | dead.keys():
        steps, died = missing.get(order_id, []), dead.get(order_id, [])
        times = [step.message.at for step in steps] + [
            dead_letter.died_at for dead_letter in died if dead_letter.died_at
        ]
        since = min(times, default=begun.get(order_id, before))
        if since <= before:
            order = snapshot.orders.get(order_id, OrderSummary("", None))
            found.append(
                StuckOrder(order_id, order.status, since, order.deadline_at, tuple(steps), tuple(died))
            )
    return sorted(found, key=lambda order: (order.since, order.order_id))


def _about_orders(
    dead_letters: Iterable[DeadLetter], snapshot: HandledSnapshot
) -> dict[str, list[DeadLetter]]:
    """Dead letters by order, except those that their service has handled since."""
    found: dict[str, list[DeadLetter]] = {}
    for dead_letter in dead_letters:
        contract = CATALOG.get(dead_letter.type)
        is_about_order = contract is not None and contract.SUBJECT == PlaceOrder.SUBJECT
        if is_about_order or dead_letter.journey_id in snapshot.keys:
            subject = dead_letter.subject or dead_letter.journey_id
            if dead_letter.id not in snapshot.handled.get(dead_letter.service, ()):
                found.setdefault(subject, []).append(dead_letter)
    return found


def _begun(sent_messages: Iterable[SentMessage]) -> dict[str, datetime]:
    """Subject -> time of the first message about it."""
    begun: dict[str, datetime] = {}
    for message in sent_messages:
        begun[message.subject] = min(message.at, begun.get(message.subject, message.at))
    return begun

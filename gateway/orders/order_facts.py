"""Facts about an order for the progress that customers see.

Events of different services arrive in any order, so a fact follows from the events that have arrived, and
from those that they imply.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from contracts import inventory, notifications, order_saga, orders, payments
from contracts.order_saga import CAPTURE, EventType
from contracts.values import format_money
from gateway.orders.messages import EVENT_MESSAGES
from gateway.orders.timeline import OrderTimeline, TimelineEntry, TimelineStatus


@dataclass(frozen=True)
class OrderFacts:
    """Facts about an order, derived from its timeline independently of the order of the entries."""

    timeline: OrderTimeline
    ordered_at: datetime | None
    now: datetime
    deadline: timedelta

    @cached_property
    def _first(self) -> Mapping[str, TimelineEntry]:
        return {entry.type: entry for entry in reversed(self.timeline.told)}

    def first_entry(self, *events: EventType) -> TimelineEntry | None:
        """The first entry of the first of these event types that the timeline has."""
        return next((self._first[event.TYPE] for event in events if event.TYPE in self._first), None)

    def occurred_at(self, *events: EventType) -> datetime | None:
        entry = self.first_entry(*events)
        return None if entry is None else entry.at

    @property
    def received(self) -> TimelineEntry | None:
        return (
            self._first.get("received")
            or self.first_entry(orders.OrderPlaced)
            or next(iter(self.timeline.told), None)
        )

    @cached_property
    def occurred(self) -> frozenset[EventType]:
        """The events of the timeline and of its status, and all that they imply:
        some may not have arrived yet.
        """
        told = [event for event in EVENT_MESSAGES if event.TYPE in self._first]
        status = [
            event
            for event, status in order_saga.STATUSES.items()
            if status.value == self.timeline.status.value
        ]
        confirmed = [orders.OrderConfirmed] if self.timeline.after_confirmation else []
        return order_saga.with_implied([*told, *status, *confirmed])

    @property
    def reserved(self) -> bool:
        return inventory.StockReserved in self.occurred

    @property
    def authorized(self) -> bool:
        return payments.PaymentAuthorized in self.occurred

    @property
    def confirmed(self) -> bool:
        return orders.OrderConfirmed in self.occurred

    @property
    def dispatched(self) -> bool:
        return orders.OrderDispatched in self.occurred

    @property
    def ended(self) -> bool:
        return self.timeline.status in (TimelineStatus.CANCELLED, TimelineStatus.REJECTED)

    @property
    def total(self) -> str:
        return "The total" if self.timeline.total is None else format_money(self.timeline.total)

    @property
    def paid_at(self) -> datetime | None:
        """When the payment was authorised; the customer does not wait for the capture."""
        return self.occurred_at(payments.PaymentAuthorized, payments.PaymentCaptured)

    @property
    def mails_due(self) -> set[str]:
        return {kind for event, kind in order_saga.MAILS.items() if event in self.occurred}

    @property
    def mails_settled(self) -> set[str]:
        """The kinds of mails that were sent, undeliverable or superseded."""
        superseded = notifications.MailSuperseded.TYPE
        dropped = {entry.detail for entry in self.timeline.told if entry.type == superseded}
        return dropped | {mail.detail for mail in self.mails}

    @property
    def mails(self) -> tuple[TimelineEntry, ...]:
        kinds = (notifications.MailSent.TYPE, notifications.MailUndeliverable.TYPE)
        return tuple(entry for entry in self.timeline.told if entry.type in kinds)

    @property
    def is_paid(self) -> bool:
        """Whether the capture has a result, whatever it is."""
        return self.first_entry(*CAPTURE.results) is not None

"""The steps of an order as customers see them: done, in progress, or not needed.

Events of different services may arrive in any order, so a step depends on which events have arrived, not on
their order. Pure functions: the caller passes the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from chassis.messaging.message import Event
from contracts import inventory, notifications, orders, payments
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from gateway.orders.messages import MISMATCHED, decline_reason, mail_name, shortage_message
from gateway.orders.step_state import ProgressStep, StepState
from gateway.orders.timeline import OrderTimeline, TimelineEntry, TimelineStatus
from gateway.web.money_format import format_money

SLOW_AFTER = timedelta(seconds=10)  # a step in progress for longer explains the delay

_SLOW = "This is taking longer than usual. We keep trying automatically; you do not need to do anything."
SLOW_PROVIDER = "The payment provider is slow. We keep trying; you do not need to do anything."


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

    def first_entry(self, *events: type[Event]) -> TimelineEntry | None:
        """The first entry of the first of these event types that the timeline has."""
        return next((self._first[event.TYPE] for event in events if event.TYPE in self._first), None)

    def occurred_at(self, *events: type[Event]) -> datetime | None:
        entry = self.first_entry(*events)
        return None if entry is None else entry.at

    @property
    def received(self) -> TimelineEntry | None:
        return (
            self._first.get("received")
            or self.first_entry(orders.OrderPlaced)
            or next(iter(self.timeline.told), None)
        )

    # An event of a later step implies the earlier steps.

    @property
    def reserved(self) -> bool:
        return self.first_entry(inventory.StockReserved) is not None or self.authorized

    @property
    def authorized(self) -> bool:
        return self.first_entry(payments.PaymentAuthorized) is not None or self.confirmed

    @property
    def confirmed(self) -> bool:
        after = (inventory.StockCommitted, payments.PaymentCaptured, payments.PaymentFailed)
        known = self.timeline.status in (
            TimelineStatus.CONFIRMED,
            TimelineStatus.DISPATCHED,
            TimelineStatus.NEEDS_ATTENTION,
        )
        return known or self.timeline.after_confirmation or self.first_entry(*after) is not None

    @property
    def dispatched(self) -> bool:
        return (
            self.timeline.status is TimelineStatus.DISPATCHED
            or self.first_entry(orders.OrderDispatched) is not None
        )

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
        due = {
            MailKind.ORDER_CONFIRMED: self.confirmed,
            MailKind.ORDER_DISPATCHED: self.dispatched,
            MailKind.ORDER_CANCELLED: self.timeline.status is TimelineStatus.CANCELLED,
            MailKind.PAYMENT_REFUNDED: self.first_entry(payments.PaymentRefunded) is not None,
        }
        return {kind for kind, is_due in due.items() if is_due}

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

    def in_progress_step(
        self, step: ProgressStep, since: datetime | None, slow: ProgressStep
    ) -> ProgressStep:
        """`step` while it is in progress; `slow` once that takes long."""
        begun = since or self.ordered_at
        return replace(slow if begun and self.now - begun > SLOW_AFTER else step, at=begun)


def received(facts: OrderFacts) -> ProgressStep:
    if facts.timeline.status is TimelineStatus.REJECTED:
        when = facts.occurred_at(orders.OrderRejected)
        return ProgressStep("received", StepState.FAILED, "Order not accepted", "Nothing is charged.", when)
    if entry := facts.received:
        why = "" if facts.ended else "We're processing your order."
        return ProgressStep("received", StepState.DONE, "Order received", why, entry.at)
    slow = (
        "We could not submit your order yet, and nothing is charged. Go back and press the button again:"
        " you will not order twice."
    )
    return facts.in_progress_step(
        ProgressStep("received", StepState.WORKING, "Submitting your order…"),
        None,
        ProgressStep("received", StepState.WAITING, "Not submitted yet", slow),
    )


def stock(facts: OrderFacts) -> ProgressStep:
    if rejected := facts.first_entry(inventory.StockRejected):
        return ProgressStep(
            "stock", StepState.FAILED, "Out of stock", shortage_message(rejected), rejected.at
        )
    if facts.reserved:
        why = "" if facts.ended else "We have set them aside for you."
        return ProgressStep(
            "stock", StepState.DONE, "Items reserved", why, facts.occurred_at(inventory.StockReserved)
        )
    if facts.timeline.cancel_reason is CancelReason.DEADLINE:
        return ProgressStep(
            "stock", StepState.FAILED, "Items not reserved", "The warehouse did not respond in time."
        )
    if facts.ended or not facts.received:
        return ProgressStep("stock", StepState.SKIPPED if facts.ended else StepState.NEXT, "Items reserved")
    return facts.in_progress_step(
        ProgressStep("stock", StepState.WORKING, "Reserving your items…"),
        facts.received.at,
        _until_deadline(facts, ProgressStep("stock", StepState.WAITING, "Waiting for the warehouse", _SLOW)),
    )


def payment(facts: OrderFacts) -> ProgressStep:
    if declined := facts.first_entry(payments.PaymentDeclined):
        why = f"{_capital(decline_reason(declined))}. Nothing was charged."
        return ProgressStep("payment", StepState.FAILED, "Payment declined", why, declined.at)
    mismatched = facts.first_entry(payments.PaymentMismatched)
    if mismatched and mismatched.detail == payments.Effect.CAPTURE:
        state = StepState.FAILED if facts.ended else StepState.WAITING
        return ProgressStep("payment", state, "Payment being checked", MISMATCHED, mismatched.at)
    if failed := facts.first_entry(payments.PaymentFailed):
        state = StepState.FAILED if facts.ended else StepState.WAITING
        why = "We could not charge the amount reserved on your card."
        return ProgressStep("payment", state, "Payment not taken", why, failed.at)
    if facts.first_entry(payments.PaymentCaptured):
        return ProgressStep(
            "payment",
            StepState.DONE,
            "Payment taken",
            f"{facts.total} was charged to your card.",
            facts.paid_at,
        )
    if facts.authorized:
        why = "" if facts.ended else f"{facts.total} is reserved on your card."
        return ProgressStep("payment", StepState.DONE, "Payment authorised", why, facts.paid_at)
    if facts.timeline.cancel_reason is CancelReason.DEADLINE and facts.reserved:
        why = "The payment provider did not respond in time."
        return ProgressStep("payment", StepState.FAILED, "Payment not made", why)
    if facts.ended or not facts.reserved:
        return ProgressStep(
            "payment", StepState.SKIPPED if facts.ended else StepState.NEXT, "Payment authorised"
        )
    return facts.in_progress_step(
        ProgressStep("payment", StepState.WORKING, "Taking payment…"),
        facts.occurred_at(inventory.StockReserved),
        _until_deadline(
            facts, ProgressStep("payment", StepState.WAITING, "Waiting for payment", SLOW_PROVIDER)
        ),
    )


def confirmed(facts: OrderFacts) -> ProgressStep:
    if facts.confirmed:
        why = "" if facts.ended else "The items and the payment are secured."
        return ProgressStep(
            "confirmed", StepState.DONE, "Confirmed", why, facts.occurred_at(orders.OrderConfirmed)
        )
    if facts.ended:
        return ProgressStep("confirmed", StepState.SKIPPED, "Confirmed")
    if not (facts.reserved and facts.authorized):
        return ProgressStep("confirmed", StepState.NEXT, "Confirmed")
    return facts.in_progress_step(
        ProgressStep("confirmed", StepState.WORKING, "Confirming…"),
        facts.occurred_at(payments.PaymentAuthorized),
        ProgressStep("confirmed", StepState.WAITING, "Waiting for confirmation", _SLOW),
    )


def dispatched(facts: OrderFacts) -> ProgressStep:
    when = facts.occurred_at(orders.OrderDispatched)
    return ProgressStep("dispatched", StepState.DONE, "Dispatched", "Your parcel is on its way.", when)


def mail(facts: OrderFacts) -> ProgressStep:
    """Independent of the other steps: a late or failed mail does not affect the order."""
    if not facts.mails:
        state = StepState.SKIPPED if facts.timeline.status is TimelineStatus.REJECTED else StepState.NEXT
        return ProgressStep(
            "mail",
            state,
            "E-mail",
            "" if state is StepState.SKIPPED else "We will e-mail you when there is news.",
        )
    last = facts.mails[-1]
    if last.type == notifications.MailSent.TYPE:
        return ProgressStep(
            "mail", StepState.DONE, "E-mail sent", f"We e-mailed you {mail_name(last)}.", last.at
        )
    why = "Our e-mail could not be delivered. Your order is not affected; this page shows all updates."
    return ProgressStep("mail", StepState.FAILED, "E-mail not delivered", why, last.at)


def is_paid(facts: OrderFacts) -> bool:
    settled = (payments.PaymentCaptured, payments.PaymentFailed, payments.PaymentMismatched)
    return facts.first_entry(*settled) is not None


def _until_deadline(facts: OrderFacts, step: ProgressStep) -> ProgressStep:
    placed_at = facts.occurred_at(orders.OrderPlaced)
    until = None if placed_at is None else placed_at + facts.deadline
    return replace(step, until=until, then="the order is cancelled automatically, and nothing is charged")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

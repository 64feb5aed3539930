"""The stops of an order's journey, as a shopper sees them: what has happened, what is under way, what is not needed.

Services speak independently of each other, so their news may come in any order: a stop looks at what has been said,
never at what was said last. Pure: the time comes from the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from contracts import inventory, notifications, orders, payments
from contracts.message import Event
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from gateway.amounts import money
from gateway.journey import Journey, Status, Told
from gateway.wording import MISMATCHED, what_is_short, which_mail, why_declined

LONG = timedelta(seconds=10)  # whoever watches for longer than this wants to know why

_SLOW = "It takes longer than usual. We go on by ourselves; you need not do anything."
SLOW_PROVIDER = "The payment provider is slow. We keep asking; you need not do anything."


class State(StrEnum):
    NEXT = "next"
    WORKING = "working"
    DONE = "done"
    WAITING = "waiting"
    FAILED = "failed"
    UNDONE = "undone"
    SKIPPED = "skipped"

    @property
    def word(self) -> str:
        """What is said beside the shape, so that neither shape nor colour has to be seen."""
        return _WORDS[self][0]

    @property
    def meaning(self) -> str:
        """The word, explained to a shopper."""
        return _WORDS[self][1]

    @property
    def going_on(self) -> bool:
        return self in (State.WORKING, State.WAITING)


_WORDS = {
    State.NEXT: ("Next", "It comes later."),
    State.WORKING: ("Under way", "It is being done just now."),
    State.DONE: ("Done", "It has happened."),
    State.WAITING: ("Waiting", "It takes longer than usual. We keep trying; you need not do anything."),
    State.FAILED: ("Failed", "It could not be done. The page says why, and what that means for you."),
    State.UNDONE: ("Undone", "It had happened, and was taken back: money given back, goods put back."),
    State.SKIPPED: ("Not needed", "It does not happen any more, since the order has ended."),
}


@dataclass(frozen=True, slots=True)
class Stop:
    """`at`: when it was reached or, while it goes on, since when. `until`: when it ends by itself, and `then` how.

    `later`: how long after the stop before it, if that was long.
    """

    name: str
    state: State
    title: str
    sentence: str = ""
    at: datetime | None = None
    until: datetime | None = None
    then: str = ""
    later: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of an order, whatever the order in which it came."""

    journey: Journey
    begun_at: datetime | None
    now: datetime
    deadline: timedelta

    @cached_property
    def _first(self) -> Mapping[str, Told]:
        return {told.type: told for told in reversed(self.journey.told)}

    def said(self, *events: type[Event]) -> Told | None:
        """The first time that one of these was said."""
        return next((self._first[event.TYPE] for event in events if event.TYPE in self._first), None)

    def when(self, *events: type[Event]) -> datetime | None:
        told = self.said(*events)
        return None if told is None else told.at

    @property
    def received(self) -> Told | None:
        return self._first.get("received") or self.said(orders.OrderPlaced) or next(iter(self.journey.told), None)

    # One step is not taken before the other, so news of a later one is news of the earlier ones too.

    @property
    def reserved(self) -> bool:
        return self.said(inventory.StockReserved) is not None or self.authorized

    @property
    def authorized(self) -> bool:
        return self.said(payments.PaymentAuthorized) is not None or self.confirmed

    @property
    def confirmed(self) -> bool:
        after = (inventory.StockCommitted, payments.PaymentCaptured, payments.PaymentFailed)
        known = self.journey.status in (Status.CONFIRMED, Status.DISPATCHED, Status.NEEDS_ATTENTION)
        return known or self.journey.after_confirmation or self.said(*after) is not None

    @property
    def dispatched(self) -> bool:
        return self.journey.status is Status.DISPATCHED or self.said(orders.OrderDispatched) is not None

    @property
    def ended(self) -> bool:
        return self.journey.status in (Status.CANCELLED, Status.REJECTED)

    @property
    def total(self) -> str:
        return "The total" if self.journey.total is None else money(self.journey.total)

    @property
    def paid_at(self) -> datetime | None:
        """When the card answered; taking the money is no wait for the customer any more."""
        return self.when(payments.PaymentAuthorized, payments.PaymentCaptured)

    @property
    def mails_due(self) -> set[str]:
        due = {
            MailKind.ORDER_CONFIRMED: self.confirmed,
            MailKind.ORDER_DISPATCHED: self.dispatched,
            MailKind.ORDER_CANCELLED: self.journey.status is Status.CANCELLED,
            MailKind.PAYMENT_REFUNDED: self.said(payments.PaymentRefunded) is not None,
        }
        return {kind for kind, is_due in due.items() if is_due}

    @property
    def mails_settled(self) -> set[str]:
        """The kinds of mails of which no more is to come."""
        superseded = notifications.MailSuperseded.TYPE
        dropped = {told.detail for told in self.journey.told if told.type == superseded}
        return dropped | {mail.detail for mail in self.mails}

    @property
    def mails(self) -> tuple[Told, ...]:
        kinds = (notifications.MailSent.TYPE, notifications.MailUndeliverable.TYPE)
        return tuple(told for told in self.journey.told if told.type in kinds)

    def going_on(self, stop: Stop, since: datetime | None, slow: Stop) -> Stop:
        """A stop that is being worked at, or another one if that takes long."""
        begun = since or self.begun_at
        return replace(slow if begun and self.now - begun > LONG else stop, at=begun)


def received(facts: Facts) -> Stop:
    if facts.journey.status is Status.REJECTED:
        when = facts.when(orders.OrderRejected)
        return Stop("received", State.FAILED, "Order not taken", "Nothing is charged.", when)
    if told := facts.received:
        why = "" if facts.ended else "We have it, and see to it."
        return Stop("received", State.DONE, "Order received", why, told.at)
    slow = (
        "We could not pass it on yet, and nothing is charged. Go back and press the button again: it stays one"
        " order, however often you press."
    )
    return facts.going_on(
        Stop("received", State.WORKING, "Sending your order…"),
        None,
        Stop("received", State.WAITING, "Not sent yet", slow),
    )


def stock(facts: Facts) -> Stop:
    if rejected := facts.said(inventory.StockRejected):
        return Stop("stock", State.FAILED, "Out of stock", what_is_short(rejected), rejected.at)
    if facts.reserved:
        why = "" if facts.ended else "They are put aside for you."
        return Stop("stock", State.DONE, "Items reserved", why, facts.when(inventory.StockReserved))
    if facts.journey.cancel_reason is CancelReason.DEADLINE:
        return Stop("stock", State.FAILED, "Items not reserved", "The warehouse gave no answer in time.")
    if facts.ended or not facts.received:
        return Stop("stock", State.SKIPPED if facts.ended else State.NEXT, "Items reserved")
    return facts.going_on(
        Stop("stock", State.WORKING, "Reserving your items…"),
        facts.received.at,
        _until_deadline(facts, Stop("stock", State.WAITING, "Waiting for the warehouse", _SLOW)),
    )


def payment(facts: Facts) -> Stop:
    if declined := facts.said(payments.PaymentDeclined):
        why = f"{_capital(why_declined(declined))}. Nothing was charged."
        return Stop("payment", State.FAILED, "Payment refused", why, declined.at)
    mismatched = facts.said(payments.PaymentMismatched)
    if mismatched and mismatched.detail == payments.Effect.CAPTURE:
        state = State.FAILED if facts.ended else State.WAITING
        return Stop("payment", state, "Payment being checked", MISMATCHED, mismatched.at)
    if failed := facts.said(payments.PaymentFailed):
        state = State.FAILED if facts.ended else State.WAITING
        why = "We could not take what was set aside on your card."
        return Stop("payment", state, "Payment not taken", why, failed.at)
    if facts.said(payments.PaymentCaptured):
        return Stop("payment", State.DONE, "Payment taken", f"{facts.total}, from your card.", facts.paid_at)
    if facts.authorized:
        why = "" if facts.ended else f"{facts.total} is set aside on your card."
        return Stop("payment", State.DONE, "Payment authorised", why, facts.paid_at)
    if facts.journey.cancel_reason is CancelReason.DEADLINE and facts.reserved:
        why = "The payment provider gave no answer in time."
        return Stop("payment", State.FAILED, "Payment not made", why)
    if facts.ended or not facts.reserved:
        return Stop("payment", State.SKIPPED if facts.ended else State.NEXT, "Payment authorised")
    return facts.going_on(
        Stop("payment", State.WORKING, "Taking payment…"),
        facts.when(inventory.StockReserved),
        _until_deadline(facts, Stop("payment", State.WAITING, "Waiting for payment", SLOW_PROVIDER)),
    )


def confirmed(facts: Facts) -> Stop:
    if facts.confirmed:
        why = "" if facts.ended else "It is yours."
        return Stop("confirmed", State.DONE, "Confirmed", why, facts.when(orders.OrderConfirmed))
    if facts.ended:
        return Stop("confirmed", State.SKIPPED, "Confirmed")
    if not (facts.reserved and facts.authorized):
        return Stop("confirmed", State.NEXT, "Confirmed")
    return facts.going_on(
        Stop("confirmed", State.WORKING, "Confirming…"),
        facts.when(payments.PaymentAuthorized),
        Stop("confirmed", State.WAITING, "Waiting to be confirmed", _SLOW),
    )


def dispatched(facts: Facts) -> Stop:
    when = facts.when(orders.OrderDispatched)
    return Stop("dispatched", State.DONE, "Dispatched", "Your parcel has left.", when)


def mail(facts: Facts) -> Stop:
    """Off the line: whatever becomes of a mail, the order is not touched by it, and its being late is not a matter."""
    if not facts.mails:
        state = State.SKIPPED if facts.journey.status is Status.REJECTED else State.NEXT
        return Stop("mail", state, "E-mail", "" if state is State.SKIPPED else "We write when there is something new.")
    last = facts.mails[-1]
    if last.type == notifications.MailSent.TYPE:
        return Stop("mail", State.DONE, "E-mail sent", f"We wrote to you: {which_mail(last)}.", last.at)
    why = "Our e-mail could not be delivered. Your order is not affected; all news is on this page."
    return Stop("mail", State.FAILED, "E-mail not delivered", why, last.at)


def is_paid(facts: Facts) -> bool:
    settled = (payments.PaymentCaptured, payments.PaymentFailed, payments.PaymentMismatched)
    return facts.said(*settled) is not None


def _until_deadline(facts: Facts, stop: Stop) -> Stop:
    placed_at = facts.when(orders.OrderPlaced)
    until = None if placed_at is None else placed_at + facts.deadline
    return replace(stop, until=until, then="the order is cancelled by itself, and nothing is charged")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

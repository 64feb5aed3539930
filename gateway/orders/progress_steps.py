"""The steps of an order as customers see them: done, in progress, or not needed.

Events of different services may arrive in any order, so a step depends on which events have arrived, not on
their order. Pure functions: the caller passes the time.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from contracts import inventory, notifications, orders, payments
from contracts.order_saga import CAPTURE, PAYMENT, STOCK
from contracts.orders import CancelReason
from gateway.orders.messages import (
    MISMATCHED,
    decline_reason,
    mail_name,
    settlement_message,
    shortage_message,
)
from gateway.orders.order_facts import OrderFacts
from gateway.orders.step_state import ProgressStep, StepState
from gateway.orders.timeline import TimelineStatus

SLOW_AFTER = timedelta(seconds=10)  # a step in progress for longer explains the delay

_SLOW = "This is taking longer than usual. We keep trying automatically; you do not need to do anything."
SLOW_PROVIDER = "The payment provider is slow. We keep trying; you do not need to do anything."


def in_progress_step(
    facts: OrderFacts, step: ProgressStep, since: datetime | None, *, slow: ProgressStep
) -> ProgressStep:
    """`step` while it is in progress; `slow` once that takes long."""
    begun = since or facts.ordered_at
    return replace(slow if begun and facts.now - begun > SLOW_AFTER else step, at=begun)


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
    return in_progress_step(
        facts,
        ProgressStep("received", StepState.WORKING, "Submitting your order…"),
        None,
        slow=ProgressStep("received", StepState.WAITING, "Not submitted yet", slow),
    )


def stock(facts: OrderFacts) -> ProgressStep:
    if rejected := facts.first_entry(*STOCK.failed):
        return ProgressStep(
            "stock", StepState.FAILED, "Out of stock", shortage_message(rejected), rejected.at
        )
    if facts.reserved:
        why = "" if facts.ended else "We have set them aside for you."
        return ProgressStep("stock", StepState.DONE, "Items reserved", why, facts.occurred_at(*STOCK.done))
    if facts.timeline.cancel_reason is CancelReason.DEADLINE:
        return ProgressStep(
            "stock", StepState.FAILED, "Items not reserved", "The warehouse did not respond in time."
        )
    if facts.ended or not facts.received:
        return ProgressStep("stock", StepState.SKIPPED if facts.ended else StepState.NEXT, "Items reserved")
    return in_progress_step(
        facts,
        ProgressStep("stock", StepState.WORKING, "Reserving your items…"),
        facts.received.at,
        slow=_until_deadline(
            facts, ProgressStep("stock", StepState.WAITING, "Waiting for the warehouse", _SLOW)
        ),
    )


def payment(facts: OrderFacts) -> ProgressStep:
    if facts.timeline.is_free:
        return _nothing_to_pay(facts)
    if declined := facts.first_entry(*PAYMENT.failed):
        why = f"{_capital(decline_reason(declined))}. Nothing was charged."
        return ProgressStep("payment", StepState.FAILED, "Payment declined", why, declined.at)
    if (resolved := facts.first_entry(payments.PaymentResolved)) and not facts.ended:
        return ProgressStep(
            "payment", StepState.DONE, "Payment settled", settlement_message(resolved), resolved.at
        )
    mismatched = facts.first_entry(payments.PaymentMismatched)
    if mismatched and mismatched.detail == payments.Effect.CAPTURE:
        state = StepState.FAILED if facts.ended else StepState.WAITING
        return ProgressStep("payment", state, "Payment being checked", MISMATCHED, mismatched.at)
    if failed := facts.first_entry(payments.PaymentFailed):
        state = StepState.FAILED if facts.ended else StepState.WAITING
        why = "We could not charge the amount reserved on your card."
        return ProgressStep("payment", state, "Payment not taken", why, failed.at)
    if facts.first_entry(*CAPTURE.done):
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
    return in_progress_step(
        facts,
        ProgressStep("payment", StepState.WORKING, "Taking payment…"),
        facts.occurred_at(inventory.StockReserved),
        slow=_until_deadline(
            facts, ProgressStep("payment", StepState.WAITING, "Waiting for payment", SLOW_PROVIDER)
        ),
    )


def _nothing_to_pay(facts: OrderFacts) -> ProgressStep:
    if facts.authorized:
        return ProgressStep("payment", StepState.DONE, "Nothing to pay", at=facts.paid_at)
    if facts.ended or not facts.reserved:
        state = StepState.SKIPPED if facts.ended else StepState.NEXT
        return ProgressStep("payment", state, "Nothing to pay")
    return in_progress_step(
        facts,
        ProgressStep("payment", StepState.WORKING, "Completing the order…"),
        facts.occurred_at(inventory.StockReserved),
        slow=_until_deadline(facts, ProgressStep("payment", StepState.WAITING, "Not complete yet", _SLOW)),
    )


def confirmed(facts: OrderFacts) -> ProgressStep:
    if facts.confirmed:
        secured = "The items are" if facts.timeline.is_free else "The items and the payment are"
        why = "" if facts.ended else f"{secured} secured."
        return ProgressStep(
            "confirmed", StepState.DONE, "Confirmed", why, facts.occurred_at(orders.OrderConfirmed)
        )
    if facts.ended:
        return ProgressStep("confirmed", StepState.SKIPPED, "Confirmed")
    if not (facts.reserved and facts.authorized):
        return ProgressStep("confirmed", StepState.NEXT, "Confirmed")
    return in_progress_step(
        facts,
        ProgressStep("confirmed", StepState.WORKING, "Confirming…"),
        facts.occurred_at(payments.PaymentAuthorized),
        slow=ProgressStep("confirmed", StepState.WAITING, "Waiting for confirmation", _SLOW),
    )


def dispatched(facts: OrderFacts) -> ProgressStep:
    when = facts.occurred_at(orders.OrderDispatched)
    tracking = facts.timeline.tracking
    why = "Your parcel is on its way." + (f" Tracking reference: {tracking}." if tracking else "")
    return ProgressStep("dispatched", StepState.DONE, "Dispatched", why, when)


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


def _until_deadline(facts: OrderFacts, step: ProgressStep) -> ProgressStep:
    placed_at = facts.occurred_at(orders.OrderPlaced)
    until = None if placed_at is None else placed_at + facts.deadline
    return replace(step, until=until, then="the order is cancelled automatically, and nothing is charged")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

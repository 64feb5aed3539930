"""What payment_svc says, and the effects it asks of itself. Money is authorised, then captured."""

from datetime import timedelta
from enum import StrEnum

from contracts.message import Command, Event, Sender
from contracts.values import Id, Money

# The card provider remembers an idempotency key for a day. Asked later, the same question could have a second effect.
PROVIDER_REMEMBERS = timedelta(hours=24)


class DeclineReason(StrEnum):
    """The card issuer's no; or `provider_mismatch`: the provider authorised something other than what was asked."""

    REFUSED = "refused"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    UNKNOWN_CARD = "unknown_card"
    PROVIDER_MISMATCH = "provider_mismatch"


class Effect(StrEnum):
    """What moves an authorised amount."""

    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class Authorize(
    Command, type="payment.authorize.v1", subject="order_id", sender=Sender.SELF, horizon=PROVIDER_REMEMBERS
):
    """Ask the card provider to set the total aside."""

    order_id: Id


class Capture(Command, type="payment.capture.v1", subject="order_id", sender=Sender.SELF, horizon=PROVIDER_REMEMBERS):
    """Ask the card provider to take what was set aside."""

    order_id: Id


class Void(Command, type="payment.void.v1", subject="order_id", sender=Sender.SELF, horizon=PROVIDER_REMEMBERS):
    """Ask the card provider to let go what was set aside."""

    order_id: Id


class Refund(Command, type="payment.refund.v1", subject="order_id", sender=Sender.SELF, horizon=PROVIDER_REMEMBERS):
    """Ask the card provider to give back what was taken."""

    order_id: Id


class PaymentAuthorized(Event, type="payment.authorized.v1", subject="order_id"):
    """The total is set aside on the customer's card."""

    order_id: Id
    amount: Money


class PaymentDeclined(Event, type="payment.declined.v1", subject="order_id"):
    """The card issuer said no, or the provider's answer does not match the order. Never said because of silence.

    `detail`: for staff, how an answer of the provider differs from what was asked.
    """

    order_id: Id
    reason: DeclineReason
    detail: str = ""


class PaymentCaptured(Event, type="payment.captured.v1", subject="order_id"):
    """The money is ours."""

    order_id: Id
    amount: Money


class PaymentVoided(Event, type="payment.voided.v1", subject="order_id"):
    """What was set aside is free again; no money moved."""

    order_id: Id


class PaymentRefunded(Event, type="payment.refunded.v1", subject="order_id"):
    """What was taken is given back."""

    order_id: Id
    customer_id: Id
    amount: Money


class PaymentFailed(Event, type="payment.failed.v1", subject="order_id"):
    """An authorised amount could not be captured: against the rules of the trade, so a person must look."""

    order_id: Id
    detail: str


class PaymentMismatched(Event, type="payment.mismatched.v1", subject="order_id"):
    """The provider captured, voided or refunded something other than what was asked: a person compares the books."""

    order_id: Id
    effect: Effect
    detail: str

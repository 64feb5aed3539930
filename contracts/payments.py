"""The events of payment_svc, and the commands that it sends itself. Money is authorised, then captured."""

from datetime import timedelta
from enum import StrEnum

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.values import Id, Money

PAYMENT = Owner("payment", service="payment_svc")

# The card provider stores an idempotency key for a day. A later request with the same key could take effect
# twice.
PROVIDER_REMEMBERS = timedelta(hours=24)


class DeclineReason(StrEnum):
    """The card issuer's refusal; or `provider_mismatch`:
    the provider authorised something other than requested.
    """

    REFUSED = "refused"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    UNKNOWN_CARD = "unknown_card"
    PROVIDER_MISMATCH = "provider_mismatch"


class Effect(StrEnum):
    """The operations on an authorised amount."""

    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class Authorize(
    Command,
    owner=PAYMENT,
    type="payment.authorize.v1",
    subject="order_id",
    sender=Sender.SELF,
    horizon=PROVIDER_REMEMBERS,
):
    """Ask the card provider to authorise the total."""

    order_id: Id


class Capture(
    Command,
    owner=PAYMENT,
    type="payment.capture.v1",
    subject="order_id",
    sender=Sender.SELF,
    horizon=PROVIDER_REMEMBERS,
):
    """Ask the card provider to capture the authorised amount."""

    order_id: Id


class Void(
    Command,
    owner=PAYMENT,
    type="payment.void.v1",
    subject="order_id",
    sender=Sender.SELF,
    horizon=PROVIDER_REMEMBERS,
):
    """Ask the card provider to release the authorised amount."""

    order_id: Id


class Refund(
    Command,
    owner=PAYMENT,
    type="payment.refund.v1",
    subject="order_id",
    sender=Sender.SELF,
    horizon=PROVIDER_REMEMBERS,
):
    """Ask the card provider to refund the captured amount."""

    order_id: Id


class PaymentAuthorized(Event, owner=PAYMENT, type="payment.authorized.v1", subject="order_id"):
    """The total is authorised on the customer's card."""

    order_id: Id
    amount: Money


class PaymentDeclined(Event, owner=PAYMENT, type="payment.declined.v1", subject="order_id"):
    """The card issuer declined, or the provider's response does not match the order.

    Never emitted for a missing response.

    `detail`: for staff, how the provider's response differs from the request.
    """

    order_id: Id
    reason: DeclineReason
    detail: str = ""


class PaymentCaptured(Event, owner=PAYMENT, type="payment.captured.v1", subject="order_id"):
    """The amount is captured."""

    order_id: Id
    amount: Money


class PaymentVoided(Event, owner=PAYMENT, type="payment.voided.v1", subject="order_id"):
    """The authorised amount is released; no money moved."""

    order_id: Id


class PaymentRefunded(Event, owner=PAYMENT, type="payment.refunded.v1", subject="order_id"):
    """The captured amount is refunded."""

    order_id: Id
    customer_id: Id
    amount: Money


class PaymentFailed(Event, owner=PAYMENT, type="payment.failed.v1", subject="order_id"):
    """An authorised amount could not be captured. This should not happen, so a person must look into it."""

    order_id: Id
    detail: str


class PaymentMismatched(Event, owner=PAYMENT, type="payment.mismatched.v1", subject="order_id"):
    """The provider captured, voided or refunded something other than requested:
    a person must compare the books.
    """

    order_id: Id
    effect: Effect
    detail: str

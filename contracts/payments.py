"""The events of payment_svc, and the commands that it sends itself. Money is authorised, then captured."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.values import Id, Money, ReturnedLines, Value

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


class SettlementReason(StrEnum):
    """What happened to the money outside our requests to the card provider.

    `paid`: the customer paid in another way. `written_off`: the shop gives up what the customer owes.
    `returned`: the customer has the money back. `released`: no money moved, and none is held any more; of an
    unclear refund of a part, that it was not carried out.
    """

    PAID = "paid"
    WRITTEN_OFF = "written_off"
    RETURNED = "returned"
    RELEASED = "released"


# Where the books have it: a bank transfer, a receipt, or the card provider's own number.
Reference = Annotated[
    str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./:_-]{2,63}$", examples=["BANK-2026-0815"])
]


class Settlement(Value):
    """Money that moved, or was given up, outside our requests to the card provider."""

    reason: SettlementReason
    amount: Money
    reference: Reference

    @property
    def balance_minor(self) -> int:
        """What it adds to the money that the shop has for the order, in minor units."""
        match self.reason:
            case SettlementReason.PAID | SettlementReason.WRITTEN_OFF:
                return self.amount.amount_minor
            case SettlementReason.RETURNED:
                return -self.amount.amount_minor
            case SettlementReason.RELEASED:
                return 0

    def __str__(self) -> str:
        return f"{self.reason.replace('_', ' ')} {self.amount} under {self.reference}"


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
    """Ask the card provider to capture the authorised amount.

    `attempt`: of the request, if staff have had it repeated.
    """

    order_id: Id
    attempt: int = 0


class Void(
    Command,
    owner=PAYMENT,
    type="payment.void.v1",
    subject="order_id",
    sender=Sender.SELF,
    horizon=PROVIDER_REMEMBERS,
):
    """Ask the card provider to release the authorised amount.

    `attempt`: of the request, if staff have had it repeated.
    """

    order_id: Id
    attempt: int = 0


class Refund(
    Command,
    owner=PAYMENT,
    type="payment.refund.v1",
    subject="order_id",
    sender=Sender.SELF,
    horizon=PROVIDER_REMEMBERS,
):
    """Ask the card provider to refund the captured amount.

    `attempt`: of the request, if staff have had it repeated.
    """

    order_id: Id
    attempt: int = 0


class RefundPart(
    Command,
    owner=PAYMENT,
    type="payment.refund_part.v1",
    subject="order_id",
    sender=Sender.SELF,
    horizon=PROVIDER_REMEMBERS,
):
    """Ask the card provider to refund a part of the captured amount."""

    order_id: Id
    refund_id: Id


class RetryPayment(Command, owner=PAYMENT, type="payment.retry.v1", subject="order_id", sender=Sender.STAFF):
    """Ask the card provider again, under a new key: for a capture that failed,
    or for a void or refund that the provider has not carried out within a day.
    """

    order_id: Id
    staff_id: Id


class SettlePayment(
    Command, owner=PAYMENT, type="payment.settle.v1", subject="order_id", sender=Sender.STAFF
):
    """Mark a payment that needs staff as settled outside our requests to the card provider."""

    order_id: Id
    staff_id: Id
    settlement: Settlement


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


class PaymentPartRefunded(Event, owner=PAYMENT, type="payment.part_refunded.v1", subject="order_id"):
    """A part of the captured amount is refunded. `refunded`: the sum of all such parts so far.

    `returned`: what it is refunded for, as order_svc requested it.
    """

    order_id: Id
    customer_id: Id
    refund_id: Id
    amount: Money
    refunded: Money
    returned: ReturnedLines = ()


class RefundRefused(Event, owner=PAYMENT, type="payment.refund_refused.v1", subject="order_id"):
    """A refund of a part was refused, or not carried out by the card provider, perhaps as staff found out; no
    money moved.

    `detail`: the reason, for staff. `settled_outside`: staff have settled the payment outside and give money
    back there; the goods of the refund come back all the same.
    """

    order_id: Id
    refund_id: Id
    detail: str
    settled_outside: bool = False


class PaymentFailed(Event, owner=PAYMENT, type="payment.failed.v1", subject="order_id"):
    """An authorised amount could not be captured. This should not happen, so a person must look into it.

    `attempt`: how often staff have had the request repeated before.
    """

    order_id: Id
    detail: str
    attempt: int = 0


class PaymentMismatched(Event, owner=PAYMENT, type="payment.mismatched.v1", subject="order_id"):
    """The provider captured, voided or refunded something other than requested, or did not answer for a day:
    a person must compare the books.

    `attempt`: as in PaymentFailed.
    """

    order_id: Id
    effect: Effect
    detail: str
    attempt: int = 0


class PaymentResolved(Event, owner=PAYMENT, type="payment.resolved.v1", subject="order_id"):
    """What staff had to decide about a payment is done: by the provider at a later attempt,
    or settled outside.

    It resolves every failure and mismatch of this and of earlier attempts. `staff_id`: who settled it; None
    if the provider did it.
    """

    order_id: Id
    effect: Effect
    attempt: int
    settlement: Settlement | None = None
    staff_id: Id | None = None


class ResolutionRefused(Event, owner=PAYMENT, type="payment.resolution_refused.v1", subject="order_id"):
    """A RetryPayment or SettlePayment was refused; the payment stays as it is.

    `detail`: the reason, for staff.
    """

    order_id: Id
    staff_id: Id
    detail: str

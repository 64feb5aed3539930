"""The state of a payment, and the requests to the card provider with their results."""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from contracts.payments import DeclineReason
from contracts.values import NIL_UUID, NOTHING, Money


class PaymentStatus(StrEnum):
    """The statuses that end in -ing wait for the provider.

    `dropped`: nothing was or will be authorised; also the tombstone of an order that has not arrived yet.
    `needs_reconciliation`: the result of a capture, void or refund differs from the request; staff compare
    the ledgers.
    """

    NEW = "new"
    AUTHORIZING = "authorizing"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURING = "capturing"
    CAPTURED = "captured"
    FAILED = "failed"
    VOIDING = "voiding"
    VOIDED = "voided"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    DROPPED = "dropped"
    NEEDS_RECONCILIATION = "needs_reconciliation"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment. `cancelled`: the order ended during the request to the provider; its result must be undone.

    `authorized`: the amount that the provider authorised, if it differs from the total. `detail`: how a
    result differs from the request, for staff.
    """

    status: PaymentStatus = PaymentStatus.NEW
    order_id: UUID = NIL_UUID
    customer_id: UUID = NIL_UUID
    total: Money = NOTHING
    card_token: str = ""
    placed: bool = False
    stock_reserved: bool = False
    cancelled: bool = False
    reference: str = ""
    authorized: Money | None = None
    detail: str = ""

    def to(self, status: PaymentStatus, reference: str = "") -> "Payment":
        return replace(self, status=status, reference=reference or self.reference)


# Requests to the provider. `key` makes each one idempotent: sent twice, it has one effect and one result.


@dataclass(frozen=True, slots=True)
class AuthorizeCard:
    key: str
    order_id: UUID
    amount: Money
    card_token: str


@dataclass(frozen=True, slots=True)
class CaptureAmount:
    key: str
    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class VoidAuthorization:
    """Without a `reference` the provider voids what it authorised under the key `authorized_under`,
    if anything.
    """

    key: str
    reference: str
    authorized_under: str


@dataclass(frozen=True, slots=True)
class RefundAmount:
    key: str
    reference: str
    amount: Money


CardRequest = AuthorizeCard | CaptureAmount | VoidAuthorization | RefundAmount


# The provider's results; a missing response is not one of them. Each result that moves money names its
# authorisation and the amount; `matching.py` compares both with the request.


@dataclass(frozen=True, slots=True)
class Authorized:
    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Declined:
    reason: DeclineReason


@dataclass(frozen=True, slots=True)
class NeverAuthorized:
    """Nothing was authorised and nothing will be, because the request window has expired.

    This is not a decline.
    """


@dataclass(frozen=True, slots=True)
class Captured:
    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class CaptureRefused:
    detail: str


@dataclass(frozen=True, slots=True)
class Voided:
    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Refunded:
    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class UnusableResponse:
    """The provider's responses stay malformed, or are about another transaction. What it did is unknown.

    `key`: of the request. A second copy of an older request may get its result while the next one waits.
    """

    key: str
    detail: str


CardResult = (
    Authorized | Declined | NeverAuthorized | Captured | CaptureRefused | Voided | Refunded | UnusableResponse
)

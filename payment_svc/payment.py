"""The state of a payment, and the requests to the card provider with their results."""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from contracts.payments import DeclineReason
from contracts.values import NOBODY, NOTHING, Money


class PaymentStatus(StrEnum):
    """The -ing ones wait for the provider. `dropped`: nothing was ever set aside, nor will it be; also the tombstone
    of an order we never heard of. `needs_reconciliation`: the provider answered a capture, void or refund with
    something other than what was asked; a person compares the books."""

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
    """`cancelled`: the order has ended while we were waiting for the provider, whose answer is to be undone.

    `authorized`: the amount that the provider set aside, if it differs from the total. `detail`: how an answer differs
    from what was asked, for staff.
    """

    status: PaymentStatus = PaymentStatus.NEW
    order_id: UUID = NOBODY
    customer_id: UUID = NOBODY
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


# Questions to the provider. `key` makes each one idempotent: put twice, it has one effect and one answer.


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
    """Without a `reference` the provider voids what it authorised under the key `authorized_under`, if anything."""

    key: str
    reference: str
    authorized_under: str


@dataclass(frozen=True, slots=True)
class RefundAmount:
    key: str
    reference: str
    amount: Money


CardRequest = AuthorizeCard | CaptureAmount | VoidAuthorization | RefundAmount


# The provider's answers. Silence is not among them. Each one that moves money says which authorisation it is about and
# how much was moved; `matching.py` compares both with what was asked.


@dataclass(frozen=True, slots=True)
class Authorized:
    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Declined:
    reason: DeclineReason


@dataclass(frozen=True, slots=True)
class NeverAuthorized:
    """Nothing was set aside, and nothing will be: it is too late to ask again. Nobody's no."""


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
    """The provider answers repeatedly with something malformed, or about another transaction. What it did is unknown.

    `key`: of the question. A second copy of an older question may be answered while the next one waits.
    """

    key: str
    detail: str


CardResult = Authorized | Declined | NeverAuthorized | Captured | CaptureRefused | Voided | Refunded | UnusableResponse

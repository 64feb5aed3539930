"""The state of a payment, and the requests to the card provider with their results."""

from dataclasses import dataclass, replace
from uuid import UUID

from contracts.http.payments import Hold, PaymentStatus
from contracts.payments import DeclineReason, Effect, Settlement
from contracts.values import NIL_UUID, NOTHING, Money, ReturnedLine


@dataclass(frozen=True, slots=True)
class PartialRefund:
    """A part of the captured total that is refunded. `done`: the provider has carried it out.

    `returned`: what it is for; only order_svc acts on it. `unclear`: the provider's answer differed from the
    request, and staff have not settled it yet.
    """

    refund_id: UUID
    amount: Money
    done: bool = False
    returned: tuple[ReturnedLine, ...] = ()
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment. `cancelled`: the order ended during the request to the provider; its result must be undone.
    `confirmed`: the order is confirmed, so an earlier request was authorised; the database was set back.

    `authorized`: the amount that the provider authorised, if it differs from the total. `detail`: how a
    result differs from the request, for staff.

    `attempt`: how often staff have had a request repeated; `retried`: the last one that they have.
    `unclear`: the effect of which staff must find out what happened; `unanswered`: the provider has not
    carried it out within a day, so that it may be requested again.
    `hold`: the authorised amount that is left to release after a settlement; None if there is none.
    `given_up`: what was written off before the order was cancelled, and is no longer owed.
    `not_refunded`: the settlements by which staff ended refunds of a part of which no money moved.
    """

    status: PaymentStatus = PaymentStatus.NEW
    order_id: UUID = NIL_UUID
    customer_id: UUID = NIL_UUID
    total: Money = NOTHING
    card_token: str = ""
    placed: bool = False
    stock_reserved: bool = False
    cancelled: bool = False
    confirmed: bool = False
    reference: str = ""
    authorized: Money | None = None
    detail: str = ""
    attempt: int = 0
    retried: Effect | None = None
    unclear: Effect | None = None
    unanswered: bool = False
    settlements: tuple[Settlement, ...] = ()
    hold: Hold | None = None
    given_up: tuple[Settlement, ...] = ()
    refunds: tuple[PartialRefund, ...] = ()
    not_refunded: tuple[Settlement, ...] = ()

    def to(self, status: PaymentStatus, reference: str = "") -> "Payment":
        return replace(self, status=status, reference=reference or self.reference)

    @property
    def refunded(self) -> Money:
        """The sum of the parts that are refunded."""
        amount_minor = sum(refund.amount.amount_minor for refund in self.refunds if refund.done)
        return Money(amount_minor=amount_minor, currency=self.total.currency)


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
    """`part`: the id of the refund if it is a part; None for the whole captured amount."""

    key: str
    reference: str
    amount: Money
    part: UUID | None = None


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
    part: UUID | None = None


@dataclass(frozen=True, slots=True)
class UnusableResponse:
    """The provider's responses stay malformed, or are about another transaction. What it did is unknown.

    `key`: of the request. A second copy of an older request may get its result while the next one waits.
    """

    key: str
    detail: str


@dataclass(frozen=True, slots=True)
class NeverDone:
    """A void or refund was not carried out, and will not be, because the request window has expired."""

    key: str
    detail: str


CardResult = (
    Authorized
    | Declined
    | NeverAuthorized
    | Captured
    | CaptureRefused
    | Voided
    | Refunded
    | UnusableResponse
    | NeverDone
)

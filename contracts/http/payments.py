"""HTTP models of payment_svc."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.payments import Settlement
from contracts.values import Money


class PaymentStatus(StrEnum):
    """The statuses that end in -ing wait for the provider.

    `dropped`: nothing was or will be authorised; also the tombstone of an order that has not arrived yet.
    `needs_reconciliation`: the result of a capture, void or refund differs from the request, or there is none
    after a day; staff compare the ledgers.
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


UNRESOLVED = frozenset({PaymentStatus.FAILED, PaymentStatus.NEEDS_RECONCILIATION})
"""No rule can continue a payment with one of these statuses: staff have to decide."""


class Hold(StrEnum):
    """What became of an authorised amount whose payment staff have settled outside.

    `releasing`: the card provider is asked to release it. `unclear`: its answer differs from the request, or
    there is none after a day; staff compare the ledgers.
    """

    RELEASING = "releasing"
    UNCLEAR = "unclear"


class RefundView(BaseModel):
    """A refund of a part. `done`: the card provider has carried it out, unless it is `unclear`: then its
    answer differed from the request, and staff have not settled it yet.
    """

    refund_id: UUID
    amount: Money
    done: bool
    unclear: bool = False

    @property
    def progress(self) -> str:
        """What staff read behind the amount."""
        return ", unclear" if self.unclear else "" if self.done else ", not done yet"


class PaymentView(BaseModel):
    """A payment. The card token is not exposed."""

    order_id: UUID
    customer_id: UUID
    status: PaymentStatus
    total: Money
    cancelled: bool = Field(description="the order ended during the request to the provider")
    reference: str = Field(description="the provider's reference of the authorisation")
    detail: str = Field("", description="how a result of the provider differs from the request")
    may_retry: bool = Field(False, description="whether staff may have the last request repeated")
    settlements: tuple[Settlement, ...] = Field((), description="what staff settled outside the provider")
    refunds: tuple[RefundView, ...] = Field((), description="the parts that staff have refunded")
    hold: Hold | None = Field(None, description="the authorised amount that a settlement leaves to release")
    changed_at: datetime | None = Field(description="its last change; null if an earlier version wrote it")

    @property
    def unresolved(self) -> bool:
        return self.status in UNRESOLVED

    @property
    def settled_outside(self) -> bool:
        """Whether a refund moves no money here: only goods come back by it."""
        return self.status is PaymentStatus.CAPTURED and bool(self.settlements)

    @property
    def release_unclear(self) -> bool:
        """The payment is settled, but the card may still have a hold."""
        return self.hold is Hold.UNCLEAR

    @property
    def needs_staff(self) -> bool:
        """Whether `GET /payments?needs_staff=true` lists it."""
        return self.unresolved or self.release_unclear


class PaymentPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[PaymentView]
    next: UUID | None

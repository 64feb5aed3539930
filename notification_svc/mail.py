"""The state of a mail, the delivery effect and its results. No names and no addresses are stored."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import NIL_UUID, Money, ReturnedLine


class MailStatus(StrEnum):
    NEW = "new"
    QUEUED = "queued"
    SENT = "sent"
    UNDELIVERABLE = "undeliverable"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail. While it is new, only a tracking reference may be known. `detail`: why it is undeliverable.

    `superseded_by`: the kind of the newer mail because of which this one was dropped. `tries`,
    `deferred_since`, `retry_at`: set while the recipient's server defers it.
    """

    status: MailStatus = MailStatus.NEW
    about: UUID = NIL_UUID
    kind: MailKind = MailKind.ORDER_CONFIRMED
    user_id: UUID = NIL_UUID
    amount: Money | None = None
    reason: CancelReason | None = None
    detail: str = ""
    superseded_by: MailKind | None = None
    tries: int = 0
    deferred_since: datetime | None = None
    retry_at: datetime | None = None
    # The refund that it is about, if it is one of several.
    part: UUID | None = None
    # What that refund is for; empty if it is only an amount.
    returned: tuple[ReturnedLine, ...] = ()
    # When the event that caused the mail was sent; None if the mail was queued before this was recorded.
    caused_at: datetime | None = None
    tracking: str = ""

    def deferred(self, result: "Deferred") -> "Mail":
        """The mail, to be sent again at the result's time.

        Only actual attempts make the next pause longer.
        """
        since = self.deferred_since or result.at
        return replace(self, tries=self.tries + result.counts, deferred_since=since, retry_at=result.retry_at)

    def to(self, status: MailStatus, detail: str = "") -> "Mail":
        return replace(self, status=status, detail=detail)


@dataclass(frozen=True, slots=True)
class Deliver:
    """The effect that delivers this mail to a mail server.

    The Message-ID is derived from `about`, `kind` and `part`.
    """

    mail: Mail


# The results of the mailer. If a mail server or user_svc is unavailable, there is none.


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail server has accepted the mail."""


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """No retry can succeed.

    `detail` is stored and published, so it contains nothing that a mail server has sent.
    """

    detail: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """The recipient's server asks to retry later, or has no free slot.

    `counts`: whether this was an attempt.
    """

    at: datetime
    retry_at: datetime
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Superseded:
    """user_svc reports that a newer mail about the account exists. `by`: the kind of that mail."""

    by: MailKind


DeliveryResult = Sent | Undeliverable | Deferred | Superseded

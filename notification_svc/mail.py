"""The state of a mail, the delivery effect and its results. It holds ids and facts: no address and no name."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import NOBODY, Money


class MailStatus(StrEnum):
    NEW = "new"
    QUEUED = "queued"
    SENT = "sent"
    UNDELIVERABLE = "undeliverable"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Mail:
    """While it is new, nothing but the status means anything. `detail`: why it is undeliverable.

    `superseded_by`: the kind of the mail with the newer news, in whose favour this one was dropped.
    `tries`, `deferred_since`, `retry_at`: set while its recipient's server defers it.
    """

    status: MailStatus = MailStatus.NEW
    about: UUID = NOBODY
    kind: MailKind = MailKind.ORDER_CONFIRMED
    user_id: UUID = NOBODY
    amount: Money | None = None
    reason: CancelReason | None = None
    detail: str = ""
    superseded_by: MailKind | None = None
    tries: int = 0
    deferred_since: datetime | None = None
    retry_at: datetime | None = None

    def deferred(self, result: "Deferred") -> "Mail":
        """Still to be sent, and not before then. Only real tries make the next pause longer."""
        since = self.deferred_since or result.at
        return replace(self, tries=self.tries + result.counts, deferred_since=since, retry_at=result.retry_at)

    def to(self, status: MailStatus, detail: str = "") -> "Mail":
        return replace(self, status=status, detail=detail)


@dataclass(frozen=True, slots=True)
class Deliver:
    """The question: hand this mail to a mail server. Its Message-ID follows from `about` and `kind`."""

    mail: Mail


# The mailer's answers. A mail server or a user_svc that is away gives none.


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail server has taken it."""


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """It will never be taken. `detail` is stored and published, so it repeats nothing that a mail server said."""

    detail: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Its recipient's server wants it later, or has no capacity left. `counts`: whether this was a try."""

    at: datetime
    retry_at: datetime
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Superseded:
    """user_svc knows newer news about the account. `by`: the kind of the mail that tells it."""

    by: MailKind


DeliveryResult = Sent | Undeliverable | Deferred | Superseded

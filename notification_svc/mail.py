"""What we remember about a mail, and the mailer's question and answers. Ids and facts only: no address, no name."""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.values import NOBODY, Money


class Status(StrEnum):
    NEW = "new"
    QUEUED = "queued"
    SENT = "sent"
    UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True, slots=True)
class Mail:
    """While it is new, nothing but the status means anything. `detail`: why it is undeliverable."""

    status: Status = Status.NEW
    about: UUID = NOBODY
    kind: MailKind = MailKind.ORDER_CONFIRMED
    user_id: UUID = NOBODY
    amount: Money | None = None
    reason: CancelReason | None = None
    detail: str = ""

    def to(self, status: Status, detail: str = "") -> "Mail":
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


Answer = Sent | Undeliverable

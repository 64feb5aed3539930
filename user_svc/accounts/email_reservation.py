"""The reservation of an e-mail address: one document per address, so that two accounts never share one.

An address is claimed first and the account is written after, so a crash can leave a claim without an account.
Such a claim may be taken over after CLAIM_MAX; account_service.py makes sure that its account can then never come.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from chassis.core.decision import Context, Decision
from chassis.messaging.identity import derived_id
from contracts.notifications import MailKind
from contracts.values import NOBODY

RESERVATION_MAX = timedelta(seconds=60)
EMAIL_LENGTH_MAX = 254
MAILS_PER_DAY = 5
_DAY = timedelta(days=1)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+")


@dataclass(frozen=True, slots=True)
class MailRequested:
    """A mail of this kind was requested for the address."""

    kind: MailKind
    at: datetime


@dataclass(frozen=True, slots=True)
class EmailReservation:
    """The address is not in here, and only as a hash in the key. `mails`: those of the last day that count."""

    user_id: UUID = NOBODY
    at: datetime | None = None
    mails: tuple[MailRequested, ...] = ()

    def with_mail(self, kind: MailKind, at: datetime, most: int) -> tuple[MailRequested, ...]:
        """Its mails and one more. Raises TooManyMails. After a clock was set back a mail counts from the new time."""
        recent = tuple(replace(mail, at=min(mail.at, at)) for mail in self.mails if at - mail.at < _DAY)
        if sum(mail.kind is kind for mail in recent) >= most:
            raise TooManyMails
        return (*recent, MailRequested(kind, at))


@dataclass(frozen=True, slots=True)
class Reserve:
    """`instead_of`: whose claim was seen in the way, and found void."""

    user_id: UUID
    at: datetime
    instead_of: UUID = NOBODY
    mails_max: int = MAILS_PER_DAY


@dataclass(frozen=True, slots=True)
class Release:
    user_id: UUID


@dataclass(frozen=True, slots=True)
class CountMail:
    """A mail of this kind is to be sent to the address. `most`: so many a day."""

    kind: MailKind
    at: datetime
    most: int = MAILS_PER_DAY


class TooManyMails(Exception):
    """The address has received its daily number of mails of this kind. The response to the caller does not show it."""


class EmailTaken(Exception):
    """Another account has the address. `by`: the id of that account, if it is certain."""

    def __init__(self, by: UUID = NOBODY) -> None:
        super().__init__("taken")
        self.by = by


def decide(
    reservation: EmailReservation, command: Reserve | Release | CountMail, _: Context[object]
) -> Decision[EmailReservation]:
    match command:
        case Reserve(user_id, at) if reservation.user_id == user_id:
            return Decision(replace(reservation, at=at))
        case Reserve(user_id, at, instead_of) if reservation.user_id in (NOBODY, instead_of):
            mails = reservation.with_mail(MailKind.USER_REGISTERED, at, command.mails_max)
            return Decision(EmailReservation(user_id, at, mails))
        case Reserve():
            raise EmailTaken()
        case Release(user_id) if reservation.user_id == user_id:
            return Decision(EmailReservation())
        case Release():
            return Decision(reservation)
        case CountMail(kind, at, most):
            return Decision(replace(reservation, mails=reservation.with_mail(kind, at, most)))


def normalise_email(email: str) -> str:
    """The one form in which an address is compared, kept and written to; raises ValueError for what is none.

    ASCII only: letters that look alike cannot then pass for one another, and folding cannot turn one mailbox
    into another (ß into ss).
    """
    folded = unicodedata.normalize("NFKC", email.strip())
    if not folded.isascii():
        raise ValueError("write it in ASCII letters, an international domain in its xn-- form")
    folded = folded.casefold()
    if len(folded) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(folded):
        raise ValueError("this is no e-mail address")
    return folded


def reservation_key(email: str) -> str:
    return derived_id("email", email)

"""The reservation of an e-mail address: one document per address, so that two accounts never share one.

The address is reserved before the account is written, so a crash can leave a reservation without an account.
Such a reservation may be taken over after RESERVATION_MAX; account_service.py ensures that its account can
then never be registered.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from chassis.core.decision import Context, Decision
from chassis.messaging.identity import derived_id
from contracts.notifications import MailKind
from contracts.values import NIL_UUID

RESERVATION_MAX = timedelta(seconds=60)
MAILS_PER_DAY = 5
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MailRequested:
    """A mail of this kind was requested for the address."""

    kind: MailKind
    at: datetime


@dataclass(frozen=True, slots=True)
class EmailReservation:
    """The document holds no address; its key is a hash of it.

    `mails`: the mails of the last 24 hours that count.
    """

    user_id: UUID = NIL_UUID
    at: datetime | None = None
    mails: tuple[MailRequested, ...] = ()

    def with_mail(self, kind: MailKind, at: datetime, most: int) -> tuple[MailRequested, ...]:
        """The mails of the last 24 hours and this one. Raises TooManyMails.

        If the clock was set back, earlier mails count from the new time.
        """
        recent = tuple(replace(mail, at=min(mail.at, at)) for mail in self.mails if at - mail.at < _DAY)
        if sum(mail.kind is kind for mail in recent) >= most:
            raise TooManyMails
        return (*recent, MailRequested(kind, at))


@dataclass(frozen=True, slots=True)
class Reserve:
    """`instead_of`: the user whose reservation was found void and is to be replaced.

    `seen_at`: since when that user had it; a reservation that was renewed since is not replaced.
    `for_registration`: False for a change of the address, which sends no welcome mail.
    """

    user_id: UUID
    at: datetime
    instead_of: UUID = NIL_UUID
    mails_max: int = MAILS_PER_DAY
    for_registration: bool = True
    seen_at: datetime | None = None

    def may_replace(self, reservation: EmailReservation) -> bool:
        unchanged = self.seen_at is None or reservation.at == self.seen_at
        return reservation.user_id == NIL_UUID or (reservation.user_id == self.instead_of and unchanged)


@dataclass(frozen=True, slots=True)
class Release:
    user_id: UUID


@dataclass(frozen=True, slots=True)
class CountMail:
    """Count a mail of this kind that is about to be sent. `most`: the limit per 24 hours."""

    kind: MailKind
    at: datetime
    most: int = MAILS_PER_DAY


class TooManyMails(Exception):
    """The address has received its daily number of mails of this kind.

    The response to the caller does not show it.
    """


class EmailTaken(Exception):
    """Another account has the address. `by`: the id of that account if it is certain, else NIL_UUID."""

    def __init__(self, by: UUID = NIL_UUID) -> None:
        super().__init__("taken")
        self.by = by


def decide(
    reservation: EmailReservation, command: Reserve | Release | CountMail, _: Context[object]
) -> Decision[EmailReservation]:
    match command:
        case Reserve(user_id, at) if reservation.user_id == user_id:
            return Decision(replace(reservation, at=at))
        case Reserve(user_id, at) if command.may_replace(reservation):
            mails = reservation.mails
            if command.for_registration:
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


def reservation_key(email: str) -> str:
    return derived_id("email", email)

"""Who has an e-mail address: one document per address, so that two accounts never share one.

An address is claimed first and the account is written after, so a crash can leave a claim without an account.
Such a claim may be taken over after CLAIM_MAX; accounts.py makes sure that its account can then never come.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from chassis.decision import Decision
from contracts.identity import derived_id
from contracts.notifications import MailKind
from contracts.values import NOBODY

CLAIM_MAX = timedelta(seconds=60)
EMAIL_LENGTH_MAX = 254
MAILS_PER_DAY = 5
_DAY = timedelta(days=1)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+")


@dataclass(frozen=True, slots=True)
class MailAsked:
    """Somebody had a mail of this kind sent to the address."""

    kind: MailKind
    at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """The address is not in here, and only as a hash in the key. `mails`: those of the last day that count."""

    user_id: UUID = NOBODY
    at: datetime | None = None
    mails: tuple[MailAsked, ...] = ()

    def with_mail(self, kind: MailKind, at: datetime, most: int) -> tuple[MailAsked, ...]:
        """Its mails and one more. Raises TooManyMails. After a clock was set back a mail counts from the new time."""
        recent = tuple(replace(mail, at=min(mail.at, at)) for mail in self.mails if at - mail.at < _DAY)
        if sum(mail.kind is kind for mail in recent) >= most:
            raise TooManyMails
        return (*recent, MailAsked(kind, at))


@dataclass(frozen=True, slots=True)
class Hold:
    """`instead_of`: whose claim was seen in the way, and found void."""

    user_id: UUID
    at: datetime
    instead_of: UUID = NOBODY
    mails_max: int = MAILS_PER_DAY


@dataclass(frozen=True, slots=True)
class LetGo:
    user_id: UUID


@dataclass(frozen=True, slots=True)
class CountMail:
    """A mail of this kind is to be sent to the address. `most`: so many a day."""

    kind: MailKind
    at: datetime
    most: int = MAILS_PER_DAY


class TooManyMails(Exception):
    """The address has received its daily number of mails of this kind. The response to the caller does not show it."""


class Taken(Exception):
    """Somebody else has the address. `by`: whose account it is for certain, if that is known."""

    def __init__(self, by: UUID = NOBODY) -> None:
        super().__init__("taken")
        self.by = by


def decide(claim: Claim, asked: Hold | LetGo | CountMail) -> Decision[Claim]:
    match asked:
        case Hold(user_id, at) if claim.user_id == user_id:
            return Decision(replace(claim, at=at))
        case Hold(user_id, at, instead_of) if claim.user_id in (NOBODY, instead_of):
            mails = claim.with_mail(MailKind.USER_REGISTERED, at, asked.mails_max)
            return Decision(Claim(user_id, at, mails))
        case Hold():
            raise Taken()
        case LetGo(user_id) if claim.user_id == user_id:
            return Decision(Claim())
        case LetGo():
            return Decision(claim)
        case CountMail(kind, at, most):
            return Decision(replace(claim, mails=claim.with_mail(kind, at, most)))


def normalised(email: str) -> str:
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


def claim_key(email: str) -> str:
    return derived_id("email", email)

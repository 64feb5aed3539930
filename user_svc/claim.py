"""Who has an e-mail address: one document per address, so that two accounts never share one.

An address is claimed first and the account is written after, so a crash can leave a claim without an account.
Such a claim may be taken over after CLAIM_MAX; accounts.py makes sure that its account can then never come.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.decision import Decision
from contracts.identity import derived_id
from contracts.values import NOBODY

CLAIM_MAX = timedelta(seconds=60)
EMAIL_LENGTH_MAX = 254

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+")


@dataclass(frozen=True, slots=True)
class Claim:
    """The address is not in here, and only as a hash in the key."""

    user_id: UUID = NOBODY
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """`instead_of`: whose claim was seen in the way, and found void."""

    user_id: UUID
    at: datetime
    instead_of: UUID = NOBODY


@dataclass(frozen=True, slots=True)
class LetGo:
    user_id: UUID


class Taken(Exception):
    """Somebody else has the address. `by`: whose account it is for certain, if that is known."""

    def __init__(self, by: UUID = NOBODY) -> None:
        super().__init__("taken")
        self.by = by


def decide(claim: Claim, asked: Hold | LetGo) -> Decision[Claim]:
    match asked:
        case Hold(user_id, at, instead_of) if claim.user_id in (NOBODY, user_id, instead_of):
            return Decision(Claim(user_id, at))
        case Hold():
            raise Taken()
        case LetGo(user_id) if claim.user_id == user_id:
            return Decision(Claim())
        case LetGo():
            return Decision(claim)


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

"""A login: the family of refresh tokens that follow each other, from the password to the logout.

A refresh token is good once: using it gives the next one (RFC 9700, section 4.14.2). A token that comes again was
stolen, or its thief was faster than its owner; which of the two cannot be told, so the whole family ends.

But an answer can be lost, and two windows of one client can refresh at once. So within a few seconds of a token's
use the same token gives a sibling of the one that was given first. Siblings are alternatives: as soon as one of them
is used, all are used. A client that keeps any one answer to its last question therefore stays logged in; and a thief
who was quick enough to get a sibling cannot live on beside the owner, because whoever of the two comes second, later
than those seconds, shows a used token. It is as if both had been given the same successor, which we could not give
twice: we keep hashes only. (Two programs that mean to stay apart log in twice.)

Every token of a family carries its lineage, a secret that never changes. Who does not know it never had a token of
this family, and cannot end it by guessing.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts.values import NOBODY

IDLE_MAX = timedelta(days=14)
AGE_MAX = timedelta(days=30)
TOKENS_MAX = 20


class FamilyStatus(StrEnum):
    NEW = "new"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class UsedToken:
    """A token that was used, and when."""

    token: str = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class RefreshTokenFamily:
    """`lineage` and the tokens: SHA-256, in hexadecimal. `epoch`: the user's, when the log-in began, see user.py."""

    status: FamilyStatus = FamilyStatus.NEW
    user_id: UUID = NOBODY
    epoch: int = 0
    lineage: str = field(default="", repr=False)
    siblings: tuple[str, ...] = field(default=(), repr=False)
    used: tuple[UsedToken, ...] = ()
    began_at: datetime | None = None
    refreshed_at: datetime | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When it ends if nobody refreshes it."""
        if self.began_at is None or self.refreshed_at is None:
            return None
        return min(self.began_at + AGE_MAX, self.refreshed_at + IDLE_MAX)

    def is_open(self, now: datetime) -> bool:
        return self.status is FamilyStatus.OPEN and self.expires_at is not None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class OpenFamily:
    user_id: UUID
    epoch: int
    lineage: str = field(repr=False)
    token: str = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class RotateToken:
    """`next`: what is given for `token`, if that is good; `grace`: how long after its use it still is."""

    lineage: str = field(repr=False)
    token: str = field(repr=False)
    next: str = field(repr=False)
    at: datetime
    grace: timedelta


@dataclass(frozen=True, slots=True)
class EndFamily:
    """Log out."""


class LoginNotActive(Exception):
    """There is no such log-in, or it is over."""


class TooManyRefreshes(Exception):
    """So many refreshes within the grace that no honest client is at work. Nothing was changed."""


def decide(
    family: RefreshTokenFamily, command: OpenFamily | RotateToken | EndFamily, _: Context[object]
) -> Decision[RefreshTokenFamily]:
    match family.status, command:
        case FamilyStatus.NEW, OpenFamily(user_id, epoch, lineage, token, at):
            return Decision(RefreshTokenFamily(FamilyStatus.OPEN, user_id, epoch, lineage, (token,), (), at, at))
        case FamilyStatus.OPEN, RotateToken(lineage=lineage, at=at) if lineage == family.lineage and family.is_open(at):
            return rotate(family, command)
        case _, RotateToken():
            raise LoginNotActive
        case FamilyStatus.OPEN | FamilyStatus.ENDED, EndFamily():
            return Decision(ended(family))
        case _:
            raise OutOfTurn(family, command)


def rotate(family: RefreshTokenFamily, command: RotateToken) -> Decision[RefreshTokenFamily]:
    lately = tuple(used for used in family.used if abs(command.at - used.at) < command.grace)
    if command.token in family.siblings:
        lately += tuple(UsedToken(token, command.at) for token in family.siblings)
        siblings: tuple[str, ...] = (command.next,)
    elif any(used.token == command.token for used in lately):
        siblings = (*family.siblings, command.next)
    else:
        return Decision(ended(family))  # it was used before
    if len(siblings) + len(lately) > TOKENS_MAX:
        raise TooManyRefreshes
    return Decision(replace(family, siblings=siblings, used=lately, refreshed_at=command.at))


def ended(family: RefreshTokenFamily) -> RefreshTokenFamily:
    return RefreshTokenFamily(FamilyStatus.ENDED, family.user_id)

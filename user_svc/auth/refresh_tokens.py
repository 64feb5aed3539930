"""A login: the family of refresh tokens that follow each other, from the password to the logout.

A refresh token can be used once; using it returns the next one (RFC 9700, section 4.14.2). If a used token is
presented again, either the owner or a thief presents it. The service cannot tell which, so it ends the whole
family.

A response can be lost, however, and two windows of one client can refresh at once. Within the grace period
after its use the same token therefore returns a sibling of the first successor. Siblings are alternatives:
using one of them uses up all. A client that keeps any one response to its last request stays logged in. A
thief who obtains a sibling in time cannot stay logged in alongside the owner: whichever of them refreshes
second, after the grace period, presents a used token. The effect is the same as returning one successor
twice, which is impossible because only hashes are stored. Two programs that need independent logins log in
separately.

Every token of a family carries its lineage, a secret that never changes. A caller without it never had a
token of this family and cannot end the family by guessing.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.core.decision import Context, Decision, OutOfTurn
from contracts.values import NIL_UUID

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
    """`lineage` and the tokens are SHA-256 digests in hexadecimal.

    `epoch`: the user's epoch at login, see user.py. `client`: the kind of program that logged in, such as
    "Firefox on Linux"; empty if it is unknown.
    """

    status: FamilyStatus = FamilyStatus.NEW
    user_id: UUID = NIL_UUID
    epoch: int = 0
    lineage: str = field(default="", repr=False)
    siblings: tuple[str, ...] = field(default=(), repr=False)
    used: tuple[UsedToken, ...] = ()
    began_at: datetime | None = None
    refreshed_at: datetime | None = None
    client: str = ""

    @property
    def expires_at(self) -> datetime | None:
        """When the login expires unless it is refreshed; None if it is not open."""
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
    client: str = ""


@dataclass(frozen=True, slots=True)
class RotateToken:
    """`next`: the successor of `token`, if that is valid.

    `grace`: how long `token` is accepted after its use.
    """

    lineage: str = field(repr=False)
    token: str = field(repr=False)
    next: str = field(repr=False)
    at: datetime
    grace: timedelta


@dataclass(frozen=True, slots=True)
class EndFamily:
    """Log out. A login that has ended stays ended."""


class LoginNotActive(Exception):
    """There is no such login, or it has ended."""


class TooManyRefreshes(Exception):
    """More refreshes within the grace period than a legitimate client makes. Nothing was changed."""


def decide(
    family: RefreshTokenFamily, command: OpenFamily | RotateToken | EndFamily, _: Context[object]
) -> Decision[RefreshTokenFamily]:
    match family.status, command:
        case FamilyStatus.NEW, OpenFamily(user_id, epoch, lineage, token, at, client):
            return Decision(
                RefreshTokenFamily(FamilyStatus.OPEN, user_id, epoch, lineage, (token,), (), at, at, client)
            )
        case FamilyStatus.OPEN, RotateToken(lineage=lineage, at=at) if (
            lineage == family.lineage and family.is_open(at)
        ):
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
        return Decision(ended(family))  # reused after the grace period
    if len(siblings) + len(lately) > TOKENS_MAX:
        raise TooManyRefreshes
    return Decision(replace(family, siblings=siblings, used=lately, refreshed_at=command.at))


def ended(family: RefreshTokenFamily) -> RefreshTokenFamily:
    return RefreshTokenFamily(FamilyStatus.ENDED, family.user_id)

"""A browser's session. The browser has an opaque id; the tokens stay here, sealed with a key that only the id gives.

So a stolen database opens no session, and log-out ends one at once, whatever the access token's age.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.decision import Decision
from contracts.values import NOBODY


class Status(StrEnum):
    NEW = "new"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Session:
    """`proved_at`: when user_svc last said that these are the roles. `tokens`: access and refresh token, sealed.

    `access_version`: of the access token; a session of an older gateway has none.
    """

    status: Status = Status.NEW
    user_id: UUID = NOBODY
    roles: tuple[str, ...] = ()
    proved_at: datetime | None = None
    access_until: datetime | None = None
    ends_at: datetime | None = None
    tokens: str = field(default="", repr=False)
    access_version: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    user_id: UUID
    roles: tuple[str, ...]
    at: datetime
    access_until: datetime
    ends_at: datetime
    tokens: str = field(repr=False)
    access_version: int = 0


@dataclass(frozen=True, slots=True)
class Renew:
    roles: tuple[str, ...]
    at: datetime
    access_until: datetime
    ends_at: datetime
    tokens: str = field(repr=False)
    access_version: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """Logged out, or user_svc does not know the log-in any more."""


class NotOpen(Exception):
    """It was ended meanwhile."""


def decide(session: Session, asked: Open | Renew | End) -> Decision[Session]:
    match session.status, asked:
        case Status.NEW, Open(user_id, roles, at, access_until, ends_at, tokens, version):
            return Decision(Session(Status.OPEN, user_id, roles, at, access_until, ends_at, tokens, version))
        case Status.OPEN, Renew(roles, at, access_until, ends_at, tokens, version):
            renewed = replace(session, roles=roles, proved_at=at, access_until=access_until, tokens=tokens)
            return Decision(replace(renewed, ends_at=ends_at, access_version=version))
        case _, End():
            return Decision(Session(Status.ENDED))
        case _:
            raise NotOpen

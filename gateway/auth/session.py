"""A browser's session.

The browser holds an opaque id; the tokens are stored encrypted with a key derived from that id.

So a leaked database gives access to no session, and a logout takes effect at once, even if the access token
is valid.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.core.decision import Context, Decision
from contracts.values import NIL_UUID


class SessionStatus(StrEnum):
    NEW = "new"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Session:
    """`proved_at`: when user_svc last confirmed the roles. `tokens`: the encrypted access and refresh tokens.

    `access_version`: of the access token; 0 in sessions that an older gateway wrote.
    """

    status: SessionStatus = SessionStatus.NEW
    user_id: UUID = NIL_UUID
    roles: tuple[str, ...] = ()
    proved_at: datetime | None = None
    access_until: datetime | None = None
    ends_at: datetime | None = None
    tokens: str = field(default="", repr=False)
    access_version: int = 0


@dataclass(frozen=True, slots=True)
class OpenSession:
    user_id: UUID
    roles: tuple[str, ...]
    at: datetime
    access_until: datetime
    ends_at: datetime
    tokens: str = field(repr=False)
    access_version: int = 0


@dataclass(frozen=True, slots=True)
class RenewSession:
    roles: tuple[str, ...]
    at: datetime
    access_until: datetime
    ends_at: datetime
    tokens: str = field(repr=False)
    access_version: int = 0


@dataclass(frozen=True, slots=True)
class EndSession:
    """The user has logged out, or user_svc has ended the login."""


class SessionNotOpen(Exception):
    """The session has ended since it was read."""


def decide(
    session: Session, command: OpenSession | RenewSession | EndSession, _: Context[object]
) -> Decision[Session]:
    match session.status, command:
        case SessionStatus.NEW, OpenSession(user_id, roles, at, access_until, ends_at, tokens, version):
            return Decision(
                Session(SessionStatus.OPEN, user_id, roles, at, access_until, ends_at, tokens, version)
            )
        case SessionStatus.OPEN, RenewSession(roles, at, access_until, ends_at, tokens, version):
            renewed = replace(session, roles=roles, proved_at=at, access_until=access_until, tokens=tokens)
            return Decision(replace(renewed, ends_at=ends_at, access_version=version))
        case _, EndSession():
            return Decision(Session(SessionStatus.ENDED))
        case _:
            raise SessionNotOpen

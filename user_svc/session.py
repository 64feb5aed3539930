"""What we remember about a log-in. The token is known to its owner only; we keep its hash, as the key."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from chassis.decision import Decision, OutOfTurn
from contracts.values import NOBODY

SESSION_MAX = timedelta(hours=12)
TOKEN_BYTES = 32


class Status(StrEnum):
    NEW = "new"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Session:
    status: Status = Status.NEW
    user_id: UUID = NOBODY
    expires_at: datetime | None = None

    def valid(self, now: datetime) -> bool:
        return self.status is Status.OPEN and self.expires_at is not None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Open:
    user_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class End:
    """Log out."""


def decide(session: Session, asked: Open | End) -> Decision[Session]:
    match session.status, asked:
        case Status.NEW, Open(user_id, expires_at):
            return Decision(Session(Status.OPEN, user_id, expires_at))
        case Status.OPEN | Status.ENDED, End():
            return Decision(Session(Status.ENDED))
        case _:
            raise OutOfTurn(session, asked)


def session_key(token: str) -> str:
    """A plain hash is enough: 256 random bits cannot be guessed, whatever the hash costs."""
    return sha256(token.encode()).hexdigest()

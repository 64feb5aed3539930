"""The Idempotency-Key: one order for one key of one user, however often and however many at once they ask.

The order's id is chosen by whoever writes first; all others find it here. So a key is never "in use": every request
with it goes the same way to the same order, and each step on that way can be taken again.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from chassis.decision import Decision
from contracts.identity import derived_id
from contracts.values import NOBODY


class Status(StrEnum):
    NEW = "new"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Request:
    """`fingerprint`: the SHA-256 of what was asked for, in its canonical form."""

    status: Status = Status.NEW
    order_id: UUID = NOBODY
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    order_id: UUID
    fingerprint: str


class OtherBody(Exception):
    """The key was used for something else."""


def decide(request: Request, asked: Take) -> Decision[Request]:
    match request.status:
        case Status.NEW:
            return Decision(Request(Status.TAKEN, asked.order_id, asked.fingerprint))
        case Status.TAKEN if request.fingerprint == asked.fingerprint:
            return Decision(request)
        case Status.TAKEN:
            raise OtherBody


def request_key(user_id: UUID, route: str, key: str) -> str:
    return derived_id("request", user_id, route, key)

"""What we remember about a user, and what can be asked about one. The asking is personal, so it never travels."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.values import NOBODY

ADDRESSES_MAX = 10


class Status(StrEnum):
    """`erased` is also the tombstone of a registration that was given up. An id in it is never used again."""

    NEW = "new"
    ACTIVE = "active"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Address:
    """Where goods go. A user has at most one of each label; `country` is two letters, ISO 3166."""

    label: str
    recipient: str
    street: str
    postcode: str
    city: str
    country: str


@dataclass(frozen=True, slots=True)
class User:
    """`email` is in its normal form, see claim.py, and stays as it was registered."""

    status: Status = Status.NEW
    user_id: UUID = NOBODY
    email: str = ""
    name: str = ""
    password_hash: str = field(default="", repr=False)
    addresses: tuple[Address, ...] = ()
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Register:
    user_id: UUID
    email: str
    name: str
    password_hash: str = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class Abandon:
    """Let nobody register under this id any more, if nobody has."""


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    name: str


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Takes the place of the address with the same label."""

    address: Address


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    label: str


@dataclass(frozen=True, slots=True)
class Erase:
    """Forget everything about the user but the id."""


Asked = Register | Abandon | ChangeProfile | AddAddress | RemoveAddress | Erase


class Reason(StrEnum):
    ID_IN_USE = "this id is in use"
    NOT_ACTIVE = "there is no such account any more"
    ADDRESSES_FULL = f"an account has at most {ADDRESSES_MAX} addresses; remove one first"
    NO_SUCH_ADDRESS = "there is no address with this label"


class Refused(Exception):
    """A rule's no. Nothing was changed."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason

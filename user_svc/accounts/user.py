"""The state of an account and the commands that change it. The commands hold personal data and are never published."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from contracts.notifications import MailKind
from contracts.roles import Role
from contracts.values import NOBODY

ADDRESSES_MAX = 10
MAIL_INTERVAL_MIN = timedelta(minutes=1)


class AccountStatus(StrEnum):
    """`unproved`: registered, but nobody has shown yet that the e-mail address is theirs, so nobody can log in.

    `erased` is also the tombstone of a registration that was given up. An id in it is never used again.
    """

    NEW = "new"
    UNPROVED = "unproved"
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
    """`email` is in its normal form, see email_reservation.py, and stays as it was registered.

    `epoch` counts how often all log-ins were ended at once: one that began in an earlier epoch is over, and so is
    a link in a mail that was written in one. `access_version` counts these and the changes of roles: an access token
    with a lower one no longer counts. `…_mail_at`: when a mail of that kind was last asked for. `…_request_id`: by
    which request; NOBODY if an earlier version has not noted it. `reset_request_id` is None once the password is
    changed.
    """

    status: AccountStatus = AccountStatus.NEW
    user_id: UUID = NOBODY
    email: str = ""
    name: str = ""
    password_hash: str = field(default="", repr=False)
    addresses: tuple[Address, ...] = ()
    created_at: datetime | None = None
    granted: tuple[Role, ...] = ()
    epoch: int = 0
    access_version: int = 0
    proof_mail_at: datetime | None = None
    reset_mail_at: datetime | None = None
    again_mail_at: datetime | None = None
    proof_request_id: UUID = NOBODY
    reset_request_id: UUID | None = NOBODY
    again_request_id: UUID = NOBODY

    @property
    def exists(self) -> bool:
        return self.status in (AccountStatus.UNPROVED, AccountStatus.ACTIVE)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Everybody is a customer."""
        return (Role.CUSTOMER, *self.granted)

    def superseding(self, kind: MailKind, about: UUID) -> MailKind | None:
        """Which newer mail, or its own kind if nothing is left to do, makes a mail about the account an old story.

        A notice of what has happened, such as a changed password, is never one.
        """
        match kind:
            case MailKind.USER_REGISTERED if self.status is AccountStatus.ACTIVE:
                return kind
            case MailKind.USER_REGISTERED if self.proof_request_id != NOBODY:
                return MailKind.ADDRESS_PROOF
            case MailKind.ADDRESS_PROOF if self.status is AccountStatus.ACTIVE or self.proof_request_id not in (
                NOBODY,
                about,
            ):
                return kind
            case MailKind.PASSWORD_RESET if self.reset_request_id is None:
                return MailKind.PASSWORD_CHANGED
            case MailKind.PASSWORD_RESET if self.reset_request_id not in (NOBODY, about):
                return kind
            case MailKind.REGISTERED_AGAIN if self.again_request_id not in (NOBODY, about):
                return kind
        return None

    def with_role(self, role: Role) -> "User":
        return self if role in self.roles else replace(self, granted=(*self.granted, role))

    def without_role(self, role: Role) -> "User":
        return replace(self, granted=tuple(granted for granted in self.granted if granted is not role))

    def with_new_access(self) -> "User":
        return replace(self, access_version=self.access_version + 1)

    def without_address(self, label: str) -> "User":
        return replace(self, addresses=tuple(address for address in self.addresses if address.label != label))


def mail_due(last: datetime | None, at: datetime) -> bool:
    """At most one mail a minute, so that the service cannot be used to flood a mailbox."""
    return last is None or at - last >= MAIL_INTERVAL_MIN


@dataclass(frozen=True, slots=True)
class Register:
    user_id: UUID
    email: str
    name: str
    password_hash: str = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class Abandon:
    """Let nobody register under this id any more, if nobody has, or has without proving the address."""


@dataclass(frozen=True, slots=True)
class RegisterAgain:
    """Somebody registered with the address of this account."""

    request_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class RequestProof:
    """Send the mail once more by which the address is proved."""

    request_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class RequestReset:
    """Send a mail by which another password can be set."""

    request_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Prove:
    """Whoever reads the mails of this address knows the password, too."""


@dataclass(frozen=True, slots=True)
class SetPassword:
    """By somebody who knew the old one, or who reads the mails. `epoch`: in which that was found out."""

    password_hash: str = field(repr=False)
    epoch: int
    request_id: UUID


@dataclass(frozen=True, slots=True)
class EndAllLogins:
    """All of them, wherever they are."""


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


OwnerCommand = SetPassword | EndAllLogins | ChangeProfile | AddAddress | RemoveAddress | Erase
AccountCommand = Register | Abandon | RegisterAgain | RequestProof | RequestReset | Prove | OwnerCommand


class AccountRule(StrEnum):
    ID_IN_USE = "this id is in use"
    NOT_ACTIVE = "there is no such account any more"
    OUT_OF_DATE = "the password was changed meanwhile"
    ADDRESSES_FULL = f"an account has at most {ADDRESSES_MAX} addresses; remove one first"
    NO_SUCH_ADDRESS = "there is no address with this label"


class AccountRuleViolation(Exception):
    """A rule of the account rejects the command. Nothing was changed."""

    def __init__(self, reason: AccountRule) -> None:
        super().__init__(reason.value)
        self.reason = reason

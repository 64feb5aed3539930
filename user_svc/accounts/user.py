"""The state of an account and the commands that change it.

The commands hold personal data and are never published.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from contracts.notifications import MailKind
from contracts.roles import Role
from contracts.values import NIL_UUID
from user_svc.accounts.email_change import FORMER_EMAILS_MAX, EmailChange, EmailCommand, FormerEmail

ADDRESSES_MAX = 10
MAIL_INTERVAL_MIN = timedelta(minutes=1)


class AccountStatus(StrEnum):
    """`unproved`: registered, but the owner has not yet proved the e-mail address, so login is not possible.

    `erased` is also the tombstone of an abandoned registration. The id of an erased account is never used
    again.
    """

    NEW = "new"
    UNPROVED = "unproved"
    ACTIVE = "active"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Address:
    """A delivery address. Labels are unique per user; `country` is an ISO 3166-1 code of two letters."""

    label: str
    recipient: str
    street: str
    postcode: str
    city: str
    country: str


@dataclass(frozen=True, slots=True)
class User:
    """`email` is in normal form (see email_reservation.py).

    `epoch` counts how often all logins were ended at once; logins and mail links of an earlier epoch are
    invalid. `access_version` also counts role changes; access tokens with a lower version are invalid.
    `…_mail_at`: when a mail of that kind was last requested. `…_request_id`: the id of that request; NIL_UUID
    if an earlier version did not store it. `reset_request_id` is None once the password is changed.
    """

    status: AccountStatus = AccountStatus.NEW
    user_id: UUID = NIL_UUID
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
    proof_request_id: UUID = NIL_UUID
    reset_request_id: UUID | None = NIL_UUID
    again_request_id: UUID = NIL_UUID
    email_change: EmailChange | None = None
    former_emails: tuple[FormerEmail, ...] = ()

    @property
    def new_email(self) -> str | None:
        return self.email_change.email if self.email_change else None

    @property
    def emails_kept_until(self) -> datetime | None:
        """When the next former or unconfirmed address is to be deleted; None if there is none."""
        pending = (self.email_change,) if self.email_change else ()
        return min((each.kept_until for each in (*pending, *self.former_emails)), default=None)

    def requests_change(self, request_id: UUID | None) -> bool:
        """Whether this is the request of the change that is not confirmed yet."""
        return self.email_change is not None and self.email_change.request_id == request_id

    def former_email(self, request_id: UUID | None) -> str | None:
        """The address that this change has replaced, as long as it is kept."""
        return next((each.email for each in self.former_emails if each.request_id == request_id), None)

    def without_emails(self, until: datetime) -> "User":
        """Without the former and unconfirmed addresses that are kept until this time at most."""
        pending = self.email_change if self.email_change and self.email_change.kept_until > until else None
        former = tuple(each for each in self.former_emails if each.kept_until > until)
        return replace(self, email_change=pending, former_emails=former)

    @property
    def exists(self) -> bool:
        return self.status in (AccountStatus.UNPROVED, AccountStatus.ACTIVE)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every account has the role customer."""
        return (Role.CUSTOMER, *self.granted)

    def superseding(self, kind: MailKind, about: UUID) -> MailKind | None:
        """The kind of the newer mail that supersedes a mail about this account,
        or its own kind if it no longer has a purpose.

        None if the mail is still valid. A notice of what has happened, such as a changed password, is never
        superseded.
        """
        match kind:
            case MailKind.USER_REGISTERED if self.status is AccountStatus.ACTIVE:
                return kind
            case MailKind.USER_REGISTERED if self.proof_request_id != NIL_UUID:
                return MailKind.ADDRESS_PROOF
            case MailKind.ADDRESS_PROOF if self.requests_change(about):
                return None
            case MailKind.ADDRESS_PROOF if (
                self.status is AccountStatus.ACTIVE
                or self.proof_request_id
                not in (
                    NIL_UUID,
                    about,
                )
            ):
                return kind
            case MailKind.PASSWORD_RESET if self.reset_request_id is None:
                return MailKind.PASSWORD_CHANGED
            case MailKind.PASSWORD_RESET if self.reset_request_id not in (NIL_UUID, about):
                return kind
            case MailKind.REGISTERED_AGAIN if self.again_request_id not in (NIL_UUID, about):
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
    """Limits each kind of mail to one per minute, so that the service cannot be used to flood a mailbox."""
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
    """Prevent registration under this id, unless the account has already proved its address."""


@dataclass(frozen=True, slots=True)
class RegisterAgain:
    """Another registration used the address of this account."""

    request_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class RequestProof:
    """Send the mail with the proof link again."""

    request_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class RequestReset:
    """Send a mail with a link to set a new password."""

    request_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Prove:
    """Mark the address as proved. The caller has checked the link from the mail and the password."""


@dataclass(frozen=True, slots=True)
class SetPassword:
    """The caller has checked the current password or a reset link.

    `epoch`: the user's epoch at that check.
    """

    password_hash: str = field(repr=False)
    epoch: int
    request_id: UUID


@dataclass(frozen=True, slots=True)
class EndAllLogins:
    """End every login of the user, on all devices."""


@dataclass(frozen=True, slots=True)
class RenewAccess:
    """Make the user's access tokens outdated, so that each open login has to refresh its own."""


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    name: str


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Replaces the address with the same label."""

    address: Address


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    label: str


@dataclass(frozen=True, slots=True)
class Erase:
    """Delete everything about the user except the id."""


OwnerCommand = SetPassword | EndAllLogins | RenewAccess | ChangeProfile | AddAddress | RemoveAddress | Erase
AccountCommand = (
    Register | Abandon | RegisterAgain | RequestProof | RequestReset | Prove | EmailCommand | OwnerCommand
)


class AccountRule(StrEnum):
    ID_IN_USE = "this id is in use"
    NOT_ACTIVE = "the account no longer exists"
    OUT_OF_DATE = "the password was changed in the meantime"
    ADDRESSES_FULL = f"an account has at most {ADDRESSES_MAX} addresses; remove one first"
    NO_SUCH_LOGIN = "there is no login with this id"
    NO_SUCH_ADDRESS = "there is no address with this label"
    MAIL_TOO_SOON = "a change was requested less than a minute ago; try again in a minute"
    CHANGED_TOO_OFTEN = f"the e-mail address can be changed {FORMER_EMAILS_MAX} times in a week; try later"
    REQUESTED_TOO_OFTEN = "too many changes of the e-mail address were requested; try again tomorrow"
    NO_SUCH_CHANGE = "this change of the e-mail address was replaced or dropped"


class AccountRuleViolation(Exception):
    """A rule of the account rejects the command. Nothing was changed."""

    def __init__(self, reason: AccountRule) -> None:
        super().__init__(reason.value)
        self.reason = reason

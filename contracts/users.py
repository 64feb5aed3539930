"""What user_svc is asked and what it says. Ids only: names and addresses stay in user_svc."""

from typing import Annotated

from pydantic import Field

from contracts.message import Command, Event, Sender
from contracts.roles import Role
from contracts.values import Id


class GrantRole(Command, type="user.grant_role.v1", subject="user_id", sender=Sender.STAFF):
    """Give somebody with an account a role. Their access tokens stop counting, and the next ones name it."""

    user_id: Id
    role: Role


class RevokeRole(Command, type="user.revoke_role.v1", subject="user_id", sender=Sender.STAFF):
    """Take a role away. Access tokens that still name it stop counting; see AccessChanged."""

    user_id: Id
    role: Role


class UserRegistered(Event, type="user.registered.v1", subject="user_id"):
    """Somebody has an account, and is to prove that the e-mail address is theirs."""

    user_id: Id


class AddressProofRequested(Event, type="user.address_proof_requested.v1", subject="request_id"):
    """Somebody asks once more for the mail by which to prove that an e-mail address is theirs."""

    request_id: Id
    user_id: Id


class PasswordResetRequested(Event, type="user.password_reset_requested.v1", subject="request_id"):
    """Somebody has forgotten the password, or says so."""

    request_id: Id
    user_id: Id


class RegisteredAgain(Event, type="user.registered_again.v1", subject="request_id"):
    """Somebody registered with an address that has an account already. Only its owner is told, by mail."""

    request_id: Id
    user_id: Id


class AddressProved(Event, type="user.address_proved.v1", subject="user_id"):
    """The e-mail address of the account is its owner's: from now on they can log in."""

    user_id: Id


class PasswordChanged(Event, type="user.password_changed.v1", subject="request_id"):
    """The password was changed or reset, and every log-in has ended. The owner is told by mail."""

    request_id: Id
    user_id: Id


class RoleGranted(Event, type="user.role_granted.v1", subject="user_id"):
    """The account has this role."""

    user_id: Id
    role: Role


class RoleRevoked(Event, type="user.role_revoked.v1", subject="user_id"):
    """The account does not have this role any more."""

    user_id: Id
    role: Role


class AccessChanged(Event, type="user.access_changed.v1", subject="user_id"):
    """The password or the roles of a user changed, all log-ins ended, or the account was erased.

    Access tokens with a lower `version` no longer count. Versions only grow, so a late or repeated event is harmless.
    """

    user_id: Id
    version: Annotated[int, Field(strict=True, ge=1)]


class UserCommandRefused(Event, type="user.command_refused.v1", subject="user_id"):
    """A command about an account that does not exist, or does not exist any more."""

    user_id: Id
    detail: str


class UserErased(Event, type="user.erased.v1", subject="user_id"):
    """The account and everything personal in it are gone."""

    user_id: Id

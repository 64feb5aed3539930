"""The commands and events of user_svc. They contain ids only: names and addresses stay in user_svc."""

from typing import Annotated

from pydantic import Field

from chassis.messaging.message import Command, Event, Owner, Sender
from contracts.roles import Role
from contracts.values import Id

USER = Owner("user", service="user_svc")


class GrantRole(Command, owner=USER, type="user.grant_role.v1", subject="user_id", sender=Sender.STAFF):
    """Give an account a role. The user's current access tokens stop counting; new ones contain the role."""

    user_id: Id
    role: Role


class RevokeRole(Command, owner=USER, type="user.revoke_role.v1", subject="user_id", sender=Sender.STAFF):
    """Take a role from an account. Access tokens that still contain it stop counting; see AccessChanged."""

    user_id: Id
    role: Role


class UserRegistered(Event, owner=USER, type="user.registered.v1", subject="user_id"):
    """An account was created; its user has yet to prove that the e-mail address is theirs."""

    user_id: Id


class AddressProofRequested(Event, owner=USER, type="user.address_proof_requested.v1", subject="request_id"):
    """A user requested another mail with which to prove that the e-mail address is theirs."""

    request_id: Id
    user_id: Id


class PasswordResetRequested(
    Event, owner=USER, type="user.password_reset_requested.v1", subject="request_id"
):
    """A password reset was requested for the account, not necessarily by its user."""

    request_id: Id
    user_id: Id


class RegisteredAgain(Event, owner=USER, type="user.registered_again.v1", subject="request_id"):
    """An address was registered that already has an account.

    Only that account's user is informed, by mail.
    """

    request_id: Id
    user_id: Id


class AddressProved(Event, owner=USER, type="user.address_proved.v1", subject="user_id"):
    """The user has proved that the e-mail address is theirs, and can log in from now on."""

    user_id: Id


class PasswordChanged(Event, owner=USER, type="user.password_changed.v1", subject="request_id"):
    """The password was changed or reset, and all sessions have ended. The user is informed by mail."""

    request_id: Id
    user_id: Id


class EmailChanged(Event, owner=USER, type="user.email_changed.v1", subject="request_id"):
    """The e-mail address was changed, and all sessions have ended. The former address gets a notice."""

    request_id: Id
    user_id: Id


class ForgetEmails(Command, owner=USER, type="user.forget_emails.v1", subject="user_id", sender=Sender.SELF):
    """Delete the former e-mail addresses of an account that are no longer needed for notices, and a requested
    change that was not confirmed in time.
    """

    user_id: Id


class RoleGranted(Event, owner=USER, type="user.role_granted.v1", subject="user_id"):
    """The account has this role."""

    user_id: Id
    role: Role


class RoleRevoked(Event, owner=USER, type="user.role_revoked.v1", subject="user_id"):
    """The account no longer has this role."""

    user_id: Id
    role: Role


class AccessChanged(Event, owner=USER, type="user.access_changed.v1", subject="user_id"):
    """The password or the roles of a user changed, all logins ended, or the account was erased.

    Access tokens with a lower `version` no longer count. Versions only grow, so a late or repeated event is
    harmless.
    """

    user_id: Id
    version: Annotated[int, Field(strict=True, ge=1)]


class UserCommandRefused(Event, owner=USER, type="user.command_refused.v1", subject="user_id"):
    """A command was refused because the account does not exist, or no longer exists."""

    user_id: Id
    detail: str


class UserErased(Event, owner=USER, type="user.erased.v1", subject="user_id"):
    """The account and all personal data in it are erased."""

    user_id: Id

"""The rules of an account. Its events carry ids and no personal data."""

from dataclasses import replace
from datetime import datetime

from chassis.core.decision import CannotRecall, Context, Decision, OutOfTurn
from chassis.messaging.message import Event
from contracts import users
from contracts.roles import Role
from user_svc.accounts.email_change import (
    FORMER_EMAILS_MAX,
    ChangeEmail,
    DropEmailChange,
    EmailChange,
    FormerEmail,
    RequestEmailChange,
)
from user_svc.accounts.user import (
    ADDRESSES_MAX,
    Abandon,
    AccountCommand,
    AccountRule,
    AccountRuleViolation,
    AccountStatus,
    AddAddress,
    Address,
    ChangeProfile,
    EndAllLogins,
    Erase,
    Prove,
    Register,
    RegisterAgain,
    RemoveAddress,
    RenewAccess,
    RequestProof,
    RequestReset,
    SetPassword,
    User,
    mail_due,
)

Handles = users.GrantRole | users.RevokeRole | users.ForgetEmails
Recalled = (
    users.UserRegistered
    | users.AddressProved
    | users.PasswordChanged
    | users.RoleGranted
    | users.RoleRevoked
    | users.AccessChanged
    | users.UserErased
)


def decide(user: User, command: AccountCommand | Handles, context: Context[object]) -> Decision[User]:
    match user.status, command:
        # an account is registered once
        case AccountStatus.NEW, Register():
            return register(command)
        case _, Register():
            raise AccountRuleViolation(AccountRule.ID_IN_USE)
        case AccountStatus.NEW, Abandon():
            return Decision(User(status=AccountStatus.ERASED))
        case AccountStatus.UNPROVED, Abandon():
            return erase(user)
        case _, Abandon():
            return Decision(user)  # the address has been proved, or the account is already erased

        # mails to the owner, at most one of a kind per minute
        case AccountStatus.UNPROVED, RequestProof(id_, at) if mail_due(user.proof_mail_at, at):
            requested = users.AddressProofRequested(request_id=id_, user_id=user.user_id)
            return Decision(replace(user, proof_mail_at=at, proof_request_id=id_), requested)
        case AccountStatus.UNPROVED | AccountStatus.ACTIVE, RequestReset(id_, at) if mail_due(
            user.reset_mail_at, at
        ):
            reset = users.PasswordResetRequested(request_id=id_, user_id=user.user_id)
            return Decision(replace(user, reset_mail_at=at, reset_request_id=id_), reset)
        case AccountStatus.ACTIVE, RegisterAgain(id_, at) if mail_due(user.again_mail_at, at):
            again = users.RegisteredAgain(request_id=id_, user_id=user.user_id)
            return Decision(replace(user, again_mail_at=at, again_request_id=id_), again)
        case _, RequestProof() | RequestReset() | RegisterAgain():
            return Decision(user)

        # proof of the address, passwords and logins
        case AccountStatus.UNPROVED, Prove():
            return Decision(
                replace(user, status=AccountStatus.ACTIVE), users.AddressProved(user_id=user.user_id)
            )
        case AccountStatus.ACTIVE, Prove():
            return Decision(user)
        case AccountStatus.UNPROVED | AccountStatus.ACTIVE, SetPassword(epoch=epoch) if epoch != user.epoch:
            raise AccountRuleViolation(AccountRule.OUT_OF_DATE)
        case AccountStatus.UNPROVED | AccountStatus.ACTIVE, SetPassword():
            return set_password(user, command)
        case AccountStatus.ACTIVE, EndAllLogins():
            return with_access_changed(replace(user, epoch=user.epoch + 1))
        case AccountStatus.ACTIVE, RenewAccess():
            return with_access_changed(user)

        # a change of the e-mail address: requested, and confirmed by the link in the mail to the new one
        case AccountStatus.ACTIVE, RequestEmailChange():
            return request_email_change(user, command)
        case AccountStatus.ACTIVE, ChangeEmail():
            return change_email(user, command)
        case AccountStatus.ACTIVE, DropEmailChange(email=email) if email in (None, user.new_email):
            return Decision(replace(user, email_change=None))
        case _, DropEmailChange():
            return Decision(user)
        case _, users.ForgetEmails():
            return Decision(user.without_emails(context.sent_at))

        # roles
        case AccountStatus.UNPROVED | AccountStatus.ACTIVE, users.GrantRole(role=role):
            return change_roles(
                user, user.with_role(role), users.RoleGranted(user_id=user.user_id, role=role)
            )
        case AccountStatus.UNPROVED | AccountStatus.ACTIVE, users.RevokeRole(role=Role.CUSTOMER):
            return refuse(user, command, "every account has the role customer")
        case AccountStatus.UNPROVED | AccountStatus.ACTIVE, users.RevokeRole(role=role):
            return change_roles(
                user, user.without_role(role), users.RoleRevoked(user_id=user.user_id, role=role)
            )
        case _, users.GrantRole() | users.RevokeRole():
            return refuse(user, command, "there is no such account")

        # what the owner may change
        case AccountStatus.ACTIVE, ChangeProfile(name=name):
            return Decision(replace(user, name=name))
        case AccountStatus.ACTIVE, AddAddress(address=address):
            return add_address(user, address)
        case AccountStatus.ACTIVE, RemoveAddress(label=label):
            return remove_address(user, label)

        # erasure is final
        case AccountStatus.UNPROVED | AccountStatus.ACTIVE, Erase():
            return erase(user)
        case AccountStatus.ERASED, Erase():
            return Decision(user)
        case (
            _,
            Prove()
            | RequestEmailChange()
            | ChangeEmail()
            | SetPassword()
            | EndAllLogins()
            | RenewAccess()
            | ChangeProfile()
            | AddAddress()
            | RemoveAddress()
            | Erase(),
        ):
            raise AccountRuleViolation(AccountRule.NOT_ACTIVE)
        case _:
            raise OutOfTurn(user, command)


def register(command: Register) -> Decision[User]:
    user = User(
        status=AccountStatus.UNPROVED,
        user_id=command.user_id,
        email=command.email,
        name=command.name,
        password_hash=command.password_hash,
        created_at=command.at,
        proof_mail_at=command.at,  # the welcome mail
    )
    return Decision(user, users.UserRegistered(user_id=user.user_id))


def set_password(user: User, command: SetPassword) -> Decision[User]:
    """A password that is set without a login was set by a link in a mail,
    so the address is proved as well.
    """
    proved = [users.AddressProved(user_id=user.user_id)] if user.status is AccountStatus.UNPROVED else []
    changed = replace(
        user,
        status=AccountStatus.ACTIVE,
        password_hash=command.password_hash,
        epoch=user.epoch + 1,
        reset_request_id=None,
        email_change=None,
    )
    done = users.PasswordChanged(request_id=command.request_id, user_id=user.user_id)
    return with_access_changed(changed, *proved, done)


def request_email_change(user: User, command: RequestEmailChange) -> Decision[User]:
    if user.email_change is not None and not mail_due(user.email_change.at, command.at):
        raise AccountRuleViolation(AccountRule.MAIL_TOO_SOON)
    require_rare_changes(user, command.at)
    requested = replace(user, email_change=EmailChange(command.request_id, command.email, command.at))
    mail = users.AddressProofRequested(request_id=command.request_id, user_id=user.user_id)
    return Decision(requested, *([mail] if command.sends_mail else []))


def change_email(user: User, command: ChangeEmail) -> Decision[User]:
    """Links in mails to the former address become invalid, like all logins."""
    if user.email_change is None or not user.requests_change(command.request_id):
        raise AccountRuleViolation(AccountRule.NO_SUCH_CHANGE)
    require_rare_changes(user, command.at)
    changed = replace(
        user,
        email=user.email_change.email,
        email_change=None,
        former_emails=(*user.former_emails, FormerEmail(command.request_id, user.email, command.at)),
        epoch=user.epoch + 1,
        reset_request_id=None,
    )
    done = users.EmailChanged(request_id=command.request_id, user_id=user.user_id)
    return with_access_changed(changed, done)


def require_rare_changes(user: User, at: datetime) -> None:
    """A former address is dropped only after its notice had time to arrive."""
    if len(user.without_emails(at).former_emails) >= FORMER_EMAILS_MAX:
        raise AccountRuleViolation(AccountRule.CHANGED_TOO_OFTEN)


def change_roles(user: User, changed: User, done: users.RoleGranted | users.RoleRevoked) -> Decision[User]:
    """A command that changes nothing leaves issued access tokens valid."""
    return Decision(user, done) if changed == user else with_access_changed(changed, done)


def with_access_changed(user: User, *emits: Event) -> Decision[User]:
    changed = user.with_new_access()
    return Decision(
        changed, users.AccessChanged(user_id=user.user_id, version=changed.access_version), *emits
    )


def refuse(user: User, command: Handles, detail: str) -> Decision[User]:
    return Decision(user, users.UserCommandRefused(user_id=command.user_id, detail=detail))


def add_address(user: User, address: Address) -> Decision[User]:
    changed = user.without_address(address.label)
    if len(changed.addresses) >= ADDRESSES_MAX:
        raise AccountRuleViolation(AccountRule.ADDRESSES_FULL)
    return Decision(replace(changed, addresses=(*changed.addresses, address)))


def remove_address(user: User, label: str) -> Decision[User]:
    changed = user.without_address(label)
    if changed == user:
        raise AccountRuleViolation(AccountRule.NO_SUCH_ADDRESS)
    return Decision(changed)


def erase(user: User) -> Decision[User]:
    erased = User(status=AccountStatus.ERASED, user_id=user.user_id, access_version=user.access_version)
    return with_access_changed(erased, users.UserErased(user_id=user.user_id))


def recalled_key(event: Recalled) -> str:
    return str(event.user_id)


def recall(user: User, event: Recalled, _: Context[object]) -> Decision[User]:
    """What is known again about an account from user_svc's own events, after its database was set back.

    Events carry no personal data, so an account that was registered since is lost, and so is a new password:
    its user sets one by a mail. A changed e-mail address is lost, too. What protects an account is never
    lost: an erasure, a revoked role, the end of all logins.
    """
    match event:
        case users.UserErased():
            erased = User(status=AccountStatus.ERASED, user_id=event.user_id)
            return Decision(replace(erased, access_version=user.access_version))
        case users.AccessChanged(version=version) if version > user.access_version:
            # All logins may have ended, which no event of its own says. So they end in any case.
            return Decision(replace(user, access_version=version, epoch=user.epoch + 1))
        case users.AccessChanged():
            return Decision(user)
        case _ if user.status is AccountStatus.NEW:
            raise CannotRecall("the data of an account is in no message; its owner has to register again")
        case _ if user.status is AccountStatus.ERASED:
            return Decision(user)
        case _:
            return Decision(recalled_user(user, event))


def recalled_user(user: User, event: Recalled) -> User:
    """The account after an event about its data."""
    match event:
        case users.AddressProved():
            return replace(user, status=AccountStatus.ACTIVE)
        case users.PasswordChanged():
            # The old password may be known to others, which is why it was changed.
            return replace(user, password_hash="", reset_request_id=None)
        case users.RoleGranted(role=role):
            return user.with_role(role)
        case users.RoleRevoked(role=role):
            return user.without_role(role)
        case _:
            return user

"""The rules of an account. Its events carry ids and no personal data."""

from dataclasses import replace

from chassis.core.decision import Context, Decision, OutOfTurn
from chassis.messaging.message import Event
from contracts import users
from contracts.roles import Role
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
    RequestProof,
    RequestReset,
    SetPassword,
    User,
    mail_due,
)

Handles = users.GrantRole | users.RevokeRole


def decide(user: User, command: AccountCommand | Handles, _: Context[object]) -> Decision[User]:
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
            | SetPassword()
            | EndAllLogins()
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
    )
    done = users.PasswordChanged(request_id=command.request_id, user_id=user.user_id)
    return with_access_changed(changed, *proved, done)


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

"""The rules of an account. Only ids are told to others."""

from dataclasses import replace

from chassis.decision import Decision, OutOfTurn
from contracts import users
from contracts.message import Event
from contracts.roles import Role
from user_svc.user import (
    ADDRESSES_MAX,
    Abandon,
    AddAddress,
    Address,
    Asked,
    ChangeProfile,
    EndLogIns,
    Erase,
    Prove,
    Reason,
    Refused,
    Register,
    RegisterAgain,
    RemoveAddress,
    RequestProof,
    RequestReset,
    SetPassword,
    Status,
    User,
    mail_due,
)

Heard = users.GrantRole | users.RevokeRole


def decide(user: User, asked: Asked | Heard) -> Decision[User]:
    match user.status, asked:
        # an account begins once
        case Status.NEW, Register():
            return register(asked)
        case _, Register():
            raise Refused(Reason.ID_IN_USE)
        case Status.NEW, Abandon():
            return Decision(User(status=Status.ERASED))
        case Status.UNPROVED, Abandon():
            return erase(user)
        case _, Abandon():
            return Decision(user)  # the address was proved after all, or the account is gone already

        # a mail to its owner, at most one of a kind a minute
        case Status.UNPROVED, RequestProof(id_, at) if mail_due(user.proof_mail_at, at):
            requested = users.AddressProofRequested(request_id=id_, user_id=user.user_id)
            return Decision(replace(user, proof_mail_at=at, proof_request_id=id_), requested)
        case Status.UNPROVED | Status.ACTIVE, RequestReset(id_, at) if mail_due(user.reset_mail_at, at):
            reset = users.PasswordResetRequested(request_id=id_, user_id=user.user_id)
            return Decision(replace(user, reset_mail_at=at, reset_request_id=id_), reset)
        case Status.ACTIVE, RegisterAgain(id_, at) if mail_due(user.again_mail_at, at):
            again = users.RegisteredAgain(request_id=id_, user_id=user.user_id)
            return Decision(replace(user, again_mail_at=at, again_request_id=id_), again)
        case _, RequestProof() | RequestReset() | RegisterAgain():
            return Decision(user)

        # who reads its mails, and who may come in
        case Status.UNPROVED, Prove():
            return Decision(replace(user, status=Status.ACTIVE), users.AddressProved(user_id=user.user_id))
        case Status.ACTIVE, Prove():
            return Decision(user)
        case Status.UNPROVED | Status.ACTIVE, SetPassword(epoch=epoch) if epoch != user.epoch:
            raise Refused(Reason.OUT_OF_DATE)
        case Status.UNPROVED | Status.ACTIVE, SetPassword():
            return set_password(user, asked)
        case Status.ACTIVE, EndLogIns():
            return with_access_changed(replace(user, epoch=user.epoch + 1))

        # what it may do
        case Status.UNPROVED | Status.ACTIVE, users.GrantRole(role=role):
            return change_roles(user, user.with_role(role), users.RoleGranted(user_id=user.user_id, role=role))
        case Status.UNPROVED | Status.ACTIVE, users.RevokeRole(role=Role.CUSTOMER):
            return refuse(user, asked, "everybody with an account is a customer")
        case Status.UNPROVED | Status.ACTIVE, users.RevokeRole(role=role):
            return change_roles(user, user.without_role(role), users.RoleRevoked(user_id=user.user_id, role=role))
        case _, users.GrantRole() | users.RevokeRole():
            return refuse(user, asked, "there is no such account")

        # what its owner may change
        case Status.ACTIVE, ChangeProfile(name=name):
            return Decision(replace(user, name=name))
        case Status.ACTIVE, AddAddress(address=address):
            return add_address(user, address)
        case Status.ACTIVE, RemoveAddress(label=label):
            return remove_address(user, label)

        # and ends for ever
        case Status.UNPROVED | Status.ACTIVE, Erase():
            return erase(user)
        case Status.ERASED, Erase():
            return Decision(user)
        case _, Prove() | SetPassword() | EndLogIns() | ChangeProfile() | AddAddress() | RemoveAddress() | Erase():
            raise Refused(Reason.NOT_ACTIVE)
        case _:
            raise OutOfTurn(user, asked)


def register(asked: Register) -> Decision[User]:
    user = User(
        status=Status.UNPROVED,
        user_id=asked.user_id,
        email=asked.email,
        name=asked.name,
        password_hash=asked.password_hash,
        created_at=asked.at,
        proof_mail_at=asked.at,  # the mail that bids them welcome
    )
    return Decision(user, users.UserRegistered(user_id=user.user_id))


def set_password(user: User, asked: SetPassword) -> Decision[User]:
    """Whoever may do this without having logged in reads the mails, so the address is proved as well."""
    proved = [users.AddressProved(user_id=user.user_id)] if user.status is Status.UNPROVED else []
    changed = replace(
        user,
        status=Status.ACTIVE,
        password_hash=asked.password_hash,
        epoch=user.epoch + 1,
        reset_request_id=None,
    )
    done = users.PasswordChanged(request_id=asked.request_id, user_id=user.user_id)
    return with_access_changed(changed, *proved, done)


def change_roles(user: User, changed: User, done: users.RoleGranted | users.RoleRevoked) -> Decision[User]:
    """A command that changes nothing leaves the access tokens in hand alone."""
    return Decision(user, done) if changed == user else with_access_changed(changed, done)


def with_access_changed(user: User, *says: Event) -> Decision[User]:
    changed = user.with_new_access()
    return Decision(changed, users.AccessChanged(user_id=user.user_id, version=changed.access_version), *says)


def refuse(user: User, asked: Heard, detail: str) -> Decision[User]:
    return Decision(user, users.UserCommandRefused(user_id=asked.user_id, detail=detail))


def add_address(user: User, address: Address) -> Decision[User]:
    changed = user.without_address(address.label)
    if len(changed.addresses) >= ADDRESSES_MAX:
        raise Refused(Reason.ADDRESSES_FULL)
    return Decision(replace(changed, addresses=(*changed.addresses, address)))


def remove_address(user: User, label: str) -> Decision[User]:
    changed = user.without_address(label)
    if changed == user:
        raise Refused(Reason.NO_SUCH_ADDRESS)
    return Decision(changed)


def erase(user: User) -> Decision[User]:
    erased = User(status=Status.ERASED, user_id=user.user_id, access_version=user.access_version)
    return with_access_changed(erased, users.UserErased(user_id=user.user_id))

"""The rules of an account. Only that it begins and that it ends is told to others."""

from dataclasses import replace

from chassis.decision import Decision, OutOfTurn
from contracts import users
from user_svc.user import (
    ADDRESSES_MAX,
    Abandon,
    AddAddress,
    Address,
    Asked,
    ChangeProfile,
    Erase,
    Reason,
    Refused,
    Register,
    RemoveAddress,
    Status,
    User,
)


def decide(user: User, asked: Asked) -> Decision[User]:
    match user.status, asked:
        # an account begins once
        case Status.NEW, Register():
            return register(asked)
        case _, Register():
            raise Refused(Reason.ID_IN_USE)
        case Status.NEW, Abandon():
            return Decision(User(status=Status.ERASED))
        case _, Abandon():
            return Decision(user)  # it was registered after all, or is gone already

        # what its owner may change
        case Status.ACTIVE, ChangeProfile(name=name):
            return Decision(replace(user, name=name))
        case Status.ACTIVE, AddAddress(address=address):
            return add_address(user, address)
        case Status.ACTIVE, RemoveAddress(label=label):
            return remove_address(user, label)

        # and ends for ever
        case Status.ACTIVE, Erase():
            erased = User(status=Status.ERASED, user_id=user.user_id)
            return Decision(erased, users.UserErased(user_id=user.user_id))
        case Status.ERASED, Erase():
            return Decision(user)
        case Status.NEW | Status.ERASED, ChangeProfile() | AddAddress() | RemoveAddress() | Erase():
            raise Refused(Reason.NOT_ACTIVE)
        case _:
            raise OutOfTurn(user, asked)


def register(asked: Register) -> Decision[User]:
    user = User(
        status=Status.ACTIVE,
        user_id=asked.user_id,
        email=asked.email,
        name=asked.name,
        password_hash=asked.password_hash,
        created_at=asked.at,
    )
    return Decision(user, users.UserRegistered(user_id=user.user_id))


def add_address(user: User, address: Address) -> Decision[User]:
    others = _without(user, address.label)
    if len(others) >= ADDRESSES_MAX:
        raise Refused(Reason.ADDRESSES_FULL)
    return Decision(replace(user, addresses=(*others, address)))


def remove_address(user: User, label: str) -> Decision[User]:
    others = _without(user, label)
    if others == user.addresses:
        raise Refused(Reason.NO_SUCH_ADDRESS)
    return Decision(replace(user, addresses=others))


def _without(user: User, label: str) -> tuple[Address, ...]:
    return tuple(address for address in user.addresses if address.label != label)

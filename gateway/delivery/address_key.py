"""The key that encrypts the delivery addresses of one customer's orders. Erasing it erases all of them.

An erased key stays as a tombstone, so that a request that was in progress during the erasure gets no new one.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from chassis.core.decision import Context, Decision
from contracts.users import UserErased


class AddressKeyStatus(StrEnum):
    NEW = "new"
    ACTIVE = "active"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class AddressKey:
    """`key`: a Fernet key; empty unless the status is `active`."""

    status: AddressKeyStatus = AddressKeyStatus.NEW
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CreateKey:
    """`key`: used if the customer has none yet."""

    key: str = field(repr=False)


def decide(
    address_key: AddressKey, message: CreateKey | UserErased, _: Context[object]
) -> Decision[AddressKey]:
    match message:
        case CreateKey(key) if address_key.status is AddressKeyStatus.NEW:
            return Decision(AddressKey(AddressKeyStatus.ACTIVE, key))
        case CreateKey():
            return Decision(address_key)
        case UserErased():
            return Decision(AddressKey(AddressKeyStatus.ERASED))

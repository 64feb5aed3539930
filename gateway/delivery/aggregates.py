"""The aggregate of address keys."""

from chassis.core.definition import Aggregate
from contracts.users import UserErased
from gateway.delivery import address_key
from gateway.delivery.address_key import AddressKey, AddressKeyStatus

# It never expires: an address must be readable as long as its order, and an order that waits for its dispatch
# has no end.
ADDRESS_KEYS = Aggregate(
    "address_keys",
    AddressKey(),
    address_key.decide,
    handles=(UserErased,),
    handled_max=5,
    erased_statuses=frozenset({AddressKeyStatus.ERASED}),
)

"""HTTP models of the gateway for staff: where orders go. No message contains an address."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.http.users import AddressView

ORDERS_MAX = 100


class OrderDelivery(BaseModel):
    """Where an order goes, as staff see it.

    `address`: null if none is on record: a client program placed the order through the broker, or an earlier
    release accepted it. `erased`: the customer has erased the account, and the address with it.
    """

    order_id: UUID
    address: AddressView | None
    erased: bool = False


class OrderDeliveries(BaseModel):
    """In the order of the request. Orders that the gateway does not know have no address."""

    items: Annotated[list[OrderDelivery], Field(max_length=ORDERS_MAX)]

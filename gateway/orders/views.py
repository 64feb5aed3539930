"""The HTTP models of orders."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.http.users import AddressView, DeliveryAddress, Label
from contracts.orders import NO_CARD, CancelReason, CardToken, RejectReason
from contracts.values import LINES_MAX, Money, OrderLine, PricedLine, RequestedLine
from gateway.orders.timeline import OrderTimeline, TimelineStatus


class OrderForm(BaseModel):
    """The order to place.

    The shop sets the prices. If `total_seen` is given and differs, the order is rejected.

    It is delivered to `delivery_address`, or to the account's address with the label
    `delivery_address_label`; without both to the account's first address.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {
                "lines": [{"sku": "KETTLE-BLUE", "quantity": 1}],
                "card_token": "tok_visa",
                "delivery_address": {
                    "recipient": "Ada Lovelace",
                    "street": "12 St James's Square",
                    "postcode": "SW1Y 4JH",
                    "city": "London",
                    "country": "GB",
                },
            },
        },
    )

    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=LINES_MAX)]
    card_token: CardToken = Field(default=NO_CARD, description="needed unless `total_seen` is zero")
    total_seen: Money | None = None
    delivery_address: DeliveryAddress | None = Field(default=None, repr=False)
    delivery_address_label: Label | None = Field(
        default=None, repr=False, description="of one of the account's addresses"
    )

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if self.delivery_address is not None and self.delivery_address_label is not None:
            raise ValueError("give either delivery_address or delivery_address_label")
        return self

    @model_validator(mode="after")
    def _needs_a_card(self) -> Self:
        if self.card_token == NO_CARD and (self.total_seen is None or not self.total_seen.is_zero):
            raise ValueError("give a card_token, or a total_seen of zero if there is nothing to pay")
        return self


class Links(BaseModel):
    self: str
    events: str
    cancellation: str
    page: str


class Accepted(BaseModel):
    """The broker has confirmed the command. `links.self` shows its outcome."""

    id: UUID
    state: TimelineStatus
    links: Links


class TimelineEntryView(BaseModel):
    """An entry of the order's timeline. `type`: an event's wire type, or the name of a customer's action."""

    model_config = ConfigDict(from_attributes=True)

    seq: int
    type: str
    at: datetime | None
    detail: str


class CustomerOrderView(BaseModel):
    """An order, as far as its events have arrived. `lines` and `total` are empty until its prices are fixed.

    `requested`: the lines of an order that was rejected before its prices were fixed, with the prices and
    titles of that time; null where the shop had none.
    """

    id: UUID
    state: TimelineStatus
    lines: tuple[PricedLine, ...]
    requested: tuple[RequestedLine, ...]
    total: Money | None
    refunded: Money | None = Field(description="what was refunded after the dispatch; null if nothing")
    delivery_address: AddressView | None = Field(
        description="where it is delivered; null if that is not on record, as for orders of client programs"
    )
    tracking: str = Field(description="the carrier's tracking reference; empty if there is none")
    cancel_reason: CancelReason | None
    reject_reason: RejectReason | None
    seq: int = Field(description="the number of the newest timeline entry, and its event id in the stream")
    journey: list[TimelineEntryView]
    links: Links


class CustomerOrderPage(BaseModel):
    """Newest first. `next`: the value of `after` for the next page; null on the last page."""

    items: list[CustomerOrderView]
    next: UUID | None


def links_of(order_id: UUID) -> Links:
    here = f"/api/v1/orders/{order_id}"
    return Links(
        self=here, events=f"{here}/events", cancellation=f"{here}/cancellation", page=f"/orders/{order_id}"
    )


def order_view(
    order_id: UUID, timeline: OrderTimeline, delivery_address: AddressView | None
) -> CustomerOrderView:
    return CustomerOrderView(
        id=order_id,
        state=timeline.status,
        lines=timeline.lines,
        requested=() if timeline.lines else timeline.requested,
        total=timeline.total,
        refunded=timeline.refunded,
        delivery_address=delivery_address,
        tracking=timeline.tracking,
        cancel_reason=timeline.cancel_reason,
        reject_reason=timeline.reject_reason,
        seq=timeline.seq,
        journey=[TimelineEntryView.model_validate(entry) for entry in timeline.told],
        links=links_of(order_id),
    )

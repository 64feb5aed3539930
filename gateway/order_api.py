"""Orders over HTTP: asked for with a key, answered with 202 once the broker has them, read from what was told."""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from contracts.identity import new_id
from contracts.orders import CancelReason, CardToken, RejectReason
from contracts.problem import answers
from contracts.values import LINES_MAX, Id, Money, OrderLine, PricedLine, RequestedLine
from gateway.conditional import NOT_CHANGED, IfNoneMatch, is_known
from gateway.following import watched
from gateway.house import House
from gateway.journey import Journey, Status
from gateway.limits import Policy
from gateway.orders import NotThere, TooLate
from gateway.problems import Refusal
from gateway.request import OtherBody
from gateway.strict_json import StrictRoute
from gateway.visitor import Visitor

_KEY = r'^(?:"[ !#-\[\]-~]{1,255}"|[!#$%&\'*+.^_`|~0-9A-Za-z-]{1,255})$'
_WAIT = re.compile(r"\bwait=([0-9]{1,3})\b")
_WAIT_S_MAX = 10
_LOOK_EVERY_S = 0.5
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=_KEY,
        description="your own name for this intent, the same whenever you repeat it; bare or as a quoted string",
        examples=['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    ),
]


class OrderForm(BaseModel):
    """What is wanted. Prices are the shop's: `total_seen` only says what the customer was shown, for comparison."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "example": {"lines": [{"sku": "KETTLE-BLUE", "quantity": 1}], "card_token": "tok_visa"},
        },
    )

    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=LINES_MAX)]
    card_token: CardToken
    total_seen: Money | None = None


class Links(BaseModel):
    self: str
    events: str
    cancellation: str
    page: str


class Accepted(BaseModel):
    """The request is safely on its way; what becomes of it is told at `links.self`."""

    id: UUID
    state: Status
    links: Links


class ToldView(BaseModel):
    """One thing that was told of the order. `type`: an event's wire type, or what its owner asked for, in a word."""

    model_config = ConfigDict(from_attributes=True)

    seq: int
    type: str
    at: datetime | None
    detail: str


class OrderView(BaseModel):
    """An order as the door has heard of it. `lines` and `total` are empty until its prices are fixed.

    `requested`: what a rejected order asked for, if its prices were never fixed; with the price and the title of that
    time, null where the shop knew none.
    """

    id: UUID
    state: Status
    lines: tuple[PricedLine, ...]
    requested: tuple[RequestedLine, ...]
    total: Money | None
    cancel_reason: CancelReason | None
    reject_reason: RejectReason | None
    seq: int = Field(description="how many things were told; the id of the newest event in the stream")
    journey: list[ToldView]
    links: Links


class OrderPage(BaseModel):
    """The newest first. `next`: the `after` of the page that follows; null on the last one."""

    items: list[OrderView]
    next: UUID | None


_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The broker has it. Sent again with the same key, the answer is the same.",
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "where the order is shown"},
            "Retry-After": {"schema": {"type": "integer"}, "description": "seconds until there may be news"},
            "Idempotent-Replayed": {"schema": {"const": "true"}, "description": "there when the key was known"},
        },
    }
}


def routes(house: House) -> APIRouter:
    router = house.api("orders", prefix="/api/v1/orders", route_class=StrictRoute)
    _asking(router, house)
    _reading(router, house)
    return router


def _asking(router: APIRouter, house: House) -> None:
    per_user = Policy("orders", house.settings.rate_orders)

    @router.post("", status_code=202, responses=_ACCEPTED | answers(400, 401, 503))
    async def place_order(
        form: OrderForm,
        key: Key,
        request: Request,
        response: Response,
        member: Annotated[Visitor, Depends(house.member)],
    ) -> Accepted:
        """Asks for an order: one for one key, however often it is sent and however many times at once."""
        house.limits.count(request, per_user, str(member.user_id))
        proposed = new_id()
        try:
            order_id = await house.orders.place(
                member.user_id, key.strip('"'), form.lines, form.total_seen, form.card_token, order_id=proposed
            )
        except OtherBody:
            raise Refusal("key-reused") from None
        return _accepted(response, order_id, again=order_id != proposed)

    @router.post("/{order_id}/cancellation", status_code=202, responses=_ACCEPTED | answers(400, 401, 404, 409, 503))
    async def cancel_order(
        order_id: Id, key: Key, response: Response, member: Annotated[Visitor, Depends(house.member)]
    ) -> Accepted:
        """Asks for the end of an order. Money that was taken goes back; a parcel that is on its way does not."""
        try:
            again = await house.orders.cancel(member.user_id, order_id, key.strip('"'))
        except NotThere:
            raise Refusal("not-found") from None
        except TooLate as late:
            raise Refusal("too-late", f"{late} already") from None
        return _accepted(response, order_id, again=again)


def _reading(router: APIRouter, house: House) -> None:
    @router.get("", responses=answers(401, 503))
    async def list_orders(
        response: Response,
        member: Annotated[Visitor, Depends(house.member)],
        after: Annotated[Id | None, Query(description="the `next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> OrderPage:
        """Your own orders, the newest first."""
        found = await house.orders.mine(member.user_id, after, limit + 1)
        page = found[:limit]
        following = page[-1][0] if len(found) > limit else None
        if following is not None:
            response.headers["Link"] = f'</api/v1/orders?limit={limit}&after={following}>; rel="next"'
        response.headers["Cache-Control"] = "private, no-cache"
        return OrderPage(items=[_view(order_id, journey) for order_id, journey in page], next=following)

    @router.get("/{order_id}", response_model=OrderView, responses=NOT_CHANGED | answers(401, 404, 503))
    async def show_order(
        order_id: Id,
        response: Response,
        member: Annotated[Visitor, Depends(house.member)],
        if_none_match: IfNoneMatch = "",
        prefer: Annotated[str, Header(description="`wait=10`: answer when there is news, or after 10 seconds")] = "",
    ) -> Any:
        """An order of your own, and all that was told of it. Somebody else's is not found."""
        wanted = _WAIT.search(prefer)
        waiting_s = min(int(wanted[1]), _WAIT_S_MAX) if wanted and if_none_match else 0

        def is_news(journey: Journey) -> bool:
            return not is_known(_etag(journey), if_none_match)

        journey = await _seen(house, member, order_id, is_news, waiting_s)
        headers = {"ETag": _etag(journey), "Cache-Control": "private, no-cache"}
        if not is_news(journey):
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return _view(order_id, journey)


async def _seen(
    house: House, member: Visitor, order_id: UUID, is_news: Callable[[Journey], bool], waiting_s: float
) -> Journey:
    """The order as `member` may see it; with patience, as soon as there is news."""
    loop = asyncio.get_running_loop()
    until = loop.time() + waiting_s
    while True:
        journey = (await watched(house, order_id, member)).journey
        if is_news(journey) or loop.time() >= until or house.stopping.is_set():
            return journey
        await asyncio.sleep(_LOOK_EVERY_S)


def _accepted(response: Response, order_id: UUID, *, again: bool) -> Accepted:
    links = _links(order_id)
    response.headers["Location"] = links.self
    response.headers["Retry-After"] = "1"
    if again:
        response.headers["Idempotent-Replayed"] = "true"
    return Accepted(id=order_id, state=Status.RECEIVED, links=links)


def _links(order_id: UUID) -> Links:
    here = f"/api/v1/orders/{order_id}"
    return Links(self=here, events=f"{here}/events", cancellation=f"{here}/cancellation", page=f"/orders/{order_id}")


def _etag(journey: Journey) -> str:
    """All that is shown changes with the status, or with something being told."""
    return f'"{journey.status}.{journey.seq}"'


def _view(order_id: UUID, journey: Journey) -> OrderView:
    return OrderView(
        id=order_id,
        state=journey.status,
        lines=journey.lines,
        requested=() if journey.lines else journey.requested,
        total=journey.total,
        cancel_reason=journey.cancel_reason,
        reject_reason=journey.reject_reason,
        seq=journey.seq,
        journey=[ToldView.model_validate(told) for told in journey.told],
        links=_links(order_id),
    )

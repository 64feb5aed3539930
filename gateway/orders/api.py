"""The HTTP API of orders. Commands return 202 as soon as the broker has confirmed them."""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request

from chassis.messaging.identity import new_id
from chassis.web.problems import problem_responses
from chassis.web.strict_json import StrictRoute
from contracts.orders import NO_CARD, CancelReason, CardToken, RejectReason
from contracts.values import LINES_MAX, Id, Money, OrderLine, PricedLine, RequestedLine
from gateway.auth.principal import Principal
from gateway.http.etag import NOT_MODIFIED, IfNoneMatch, etag_matches
from gateway.http.problems import ProblemError
from gateway.http.rate_limit import RateLimit
from gateway.orders.authorized_order import load_authorized_order
from gateway.orders.dependencies import OrderDependencies
from gateway.orders.idempotency import IdempotencyKeyReused
from gateway.orders.timeline import OrderTimeline, TimelineStatus

_KEY = r'^(?:"[ !#-\[\]-~]{1,255}"|[!#$%&\'*+.^_`|~0-9A-Za-z-]{1,255})$'
_WAIT = re.compile(r"\bwait=([0-9]{1,3})\b")
_WAIT_S_MAX = 10
_POLL_S = 0.5
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=_KEY,
        description="a unique key of your choice, the same for every retry of a request; bare or as a "
        "quoted string",
        examples=['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    ),
]


class OrderForm(BaseModel):
    """The order to place.

    The shop sets the prices. If `total_seen` is given and differs, the order is rejected.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "example": {"lines": [{"sku": "KETTLE-BLUE", "quantity": 1}], "card_token": "tok_visa"},
        },
    )

    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=LINES_MAX)]
    card_token: CardToken = Field(default=NO_CARD, description="needed unless `total_seen` is zero")
    total_seen: Money | None = None

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


_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The broker has confirmed the command. A retry with the same key gets the same "
        "response.",
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "the URL of the order"},
            "Retry-After": {
                "schema": {"type": "integer"},
                "description": "seconds until the order may have changed",
            },
            "Idempotent-Replayed": {
                "schema": {"const": "true"},
                "description": "present if the key was used before",
            },
        },
    }
}


def routes(deps: OrderDependencies) -> APIRouter:
    router = deps.api_router("orders", prefix="/api/v1/orders", route_class=StrictRoute)
    _command_routes(router, deps)
    _query_routes(router, deps)
    return router


def _command_routes(router: APIRouter, deps: OrderDependencies) -> None:
    per_user = RateLimit("orders", deps.settings.rate_orders)

    @router.post("", status_code=202, responses=_ACCEPTED | problem_responses(400, 401, 503))
    async def place_order(
        form: OrderForm,
        key: Key,
        request: Request,
        response: Response,
        user: Annotated[Principal, Depends(deps.require_user)],
    ) -> Accepted:
        """Places an order. Requests with the same key place one order, also if they are concurrent."""
        await deps.rate_limiter.hit(request, per_user, str(user.user_id))
        proposed = new_id()
        try:
            order_id = await deps.orders.place(
                user.user_id, key.strip('"'), form.lines, form.total_seen, form.card_token, order_id=proposed
            )
        except IdempotencyKeyReused:
            raise ProblemError("key-reused") from None
        return _accepted(response, order_id, again=order_id != proposed)

    @router.post(
        "/{order_id}/cancellation",
        status_code=202,
        responses=_ACCEPTED | problem_responses(400, 401, 404, 409, 503),
    )
    async def cancel_order(
        order_id: Id, key: Key, response: Response, user: Annotated[Principal, Depends(deps.require_user)]
    ) -> Accepted:
        """Requests the cancellation of an order, which refunds a captured payment.

        Dispatched orders are a 409.
        """
        again = await deps.orders.cancel(user.user_id, order_id, key.strip('"'))
        return _accepted(response, order_id, again=again)


def _query_routes(router: APIRouter, deps: OrderDependencies) -> None:
    @router.get("", responses=problem_responses(401, 503))
    async def list_orders(
        response: Response,
        user: Annotated[Principal, Depends(deps.require_user)],
        after: Annotated[Id | None, Query(description="the `next` of the previous page")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> CustomerOrderPage:
        """Your own orders, newest first."""
        found = await deps.orders.list_for_customer(user.user_id, after, limit + 1)
        page = found[:limit]
        following = page[-1][0] if len(found) > limit else None
        if following is not None:
            response.headers["Link"] = f'</api/v1/orders?limit={limit}&after={following}>; rel="next"'
        response.headers["Cache-Control"] = "private, no-cache"
        return CustomerOrderPage(
            items=[order_view(order_id, timeline) for order_id, timeline in page], next=following
        )

    @router.get(
        "/{order_id}",
        response_model=CustomerOrderView,
        responses=NOT_MODIFIED | problem_responses(401, 404, 503),
    )
    async def show_order(
        order_id: Id,
        response: Response,
        user: Annotated[Principal, Depends(deps.require_user)],
        if_none_match: IfNoneMatch = "",
        prefer: Annotated[
            str, Header(description="`wait=10`: respond when the order has changed, or after 10 seconds")
        ] = "",
    ) -> Any:
        """An order with its timeline. Other customers' orders are a 404."""
        wanted = _WAIT.search(prefer)
        waiting_s = min(int(wanted[1]), _WAIT_S_MAX) if wanted and if_none_match else 0

        def is_modified(timeline: OrderTimeline) -> bool:
            return not etag_matches(_etag(timeline), if_none_match)

        timeline = await _load_or_wait(deps, user, order_id, is_modified, waiting_s)
        headers = {"ETag": _etag(timeline), "Cache-Control": "private, no-cache"}
        if not is_modified(timeline):
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return order_view(order_id, timeline)


async def _load_or_wait(
    deps: OrderDependencies,
    user: Principal,
    order_id: UUID,
    is_modified: Callable[[OrderTimeline], bool],
    waiting_s: float,
) -> OrderTimeline:
    """Waits until the order is modified, for at most `waiting_s`, and returns its timeline."""
    loop = asyncio.get_running_loop()
    until = loop.time() + waiting_s
    while True:
        timeline = (await load_authorized_order(deps.orders, order_id, user)).timeline
        if is_modified(timeline) or loop.time() >= until or deps.stopping.is_set():
            return timeline
        await asyncio.sleep(_POLL_S)


def _accepted(response: Response, order_id: UUID, *, again: bool) -> Accepted:
    links = _links(order_id)
    response.headers["Location"] = links.self
    response.headers["Retry-After"] = "1"
    if again:
        response.headers["Idempotent-Replayed"] = "true"
    return Accepted(id=order_id, state=TimelineStatus.RECEIVED, links=links)


def _links(order_id: UUID) -> Links:
    here = f"/api/v1/orders/{order_id}"
    return Links(
        self=here, events=f"{here}/events", cancellation=f"{here}/cancellation", page=f"/orders/{order_id}"
    )


def _etag(timeline: OrderTimeline) -> str:
    """Derived from status and `seq`: the view changes only with these."""
    return f'"{timeline.status}.{timeline.seq}"'


def order_view(order_id: UUID, timeline: OrderTimeline) -> CustomerOrderView:
    return CustomerOrderView(
        id=order_id,
        state=timeline.status,
        lines=timeline.lines,
        requested=() if timeline.lines else timeline.requested,
        total=timeline.total,
        refunded=timeline.refunded,
        tracking=timeline.tracking,
        cancel_reason=timeline.cancel_reason,
        reject_reason=timeline.reject_reason,
        seq=timeline.seq,
        journey=[TimelineEntryView.model_validate(entry) for entry in timeline.told],
        links=_links(order_id),
    )

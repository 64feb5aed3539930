"""The HTTP API of orders. Commands return 202 as soon as the broker has confirmed them."""

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from starlette.requests import Request

from chassis.messaging.identity import new_id
from chassis.web.problems import problem_responses
from chassis.web.strict_json import StrictRoute
from contracts.values import Id
from gateway.auth.principal import Principal
from gateway.delivery.choice import DeliveryChoice, delivery_for
from gateway.http.etag import NOT_MODIFIED, IfNoneMatch, etag_matches
from gateway.http.problems import ProblemError
from gateway.http.rate_limit import RateLimit
from gateway.orders.authorized_order import load_authorized_order
from gateway.orders.dependencies import OrderDependencies
from gateway.orders.idempotency import IdempotencyKeyReused
from gateway.orders.timeline import OrderTimeline, TimelineStatus
from gateway.orders.views import (
    Accepted,
    CustomerOrderPage,
    CustomerOrderView,
    OrderForm,
    links_of,
    order_view,
)

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
        choice = DeliveryChoice(form.delivery_address, form.delivery_address_label)
        try:
            order_id = await deps.orders.place(
                user.user_id,
                key.strip('"'),
                form.lines,
                form.total_seen,
                form.card_token,
                delivery=delivery_for(deps.user_client, user, choice),
                order_id=proposed,
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
        sealing = await deps.orders.sealing_of(user.user_id)
        items = [
            order_view(order_id, timeline, sealing.open(timeline.sealed_address))
            for order_id, timeline in page
        ]
        return CustomerOrderPage(items=items, next=following)

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
        return order_view(order_id, timeline, await deps.orders.delivery_address(timeline))


async def _load_or_wait(
    deps: OrderDependencies,
    user: Principal,
    order_id: UUID,
    is_modified: Callable[[OrderTimeline], bool],
    waiting_s: float,
) -> OrderTimeline:
    """Waits until the order is modified, for at most `waiting_s`, and returns its timeline.

    An instance that stops also waits, as long as its drain permits. Clients would otherwise repeat the
    request without a pause until the server closes.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + waiting_s
    while True:
        timeline = (await load_authorized_order(deps.orders, order_id, user)).timeline
        if is_modified(timeline) or loop.time() >= until:
            return timeline
        await asyncio.sleep(_POLL_S)
        if deps.runtime.must_respond:
            return timeline


def _accepted(response: Response, order_id: UUID, *, again: bool) -> Accepted:
    links = links_of(order_id)
    response.headers["Location"] = links.self
    response.headers["Retry-After"] = "1"
    if again:
        response.headers["Idempotent-Replayed"] = "true"
    return Accepted(id=order_id, state=TimelineStatus.RECEIVED, links=links)


def _etag(timeline: OrderTimeline) -> str:
    """Derived from status and `seq`: the view changes only with these."""
    return f'"{timeline.status}.{timeline.seq}"'

"""The pages of orders: the list, one order with live progress, all its messages, and its cancellation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from chassis.web.app import flatten_routers
from chassis.web.http_client import UpstreamUnavailable
from gateway.auth.page_user import require_login
from gateway.auth.principal import Principal
from gateway.catalogue.client import CatalogueArticle
from gateway.orders.authorized_order import AuthorizedOrder, load_authorized_order, parse_order_id
from gateway.orders.customer_orders import OrderNotCancellable, PublishNotConfirmed
from gateway.orders.dependencies import OrderDependencies
from gateway.orders.messages import describe_entry, describe_status
from gateway.orders.progress import order_number, ordered_at
from gateway.orders.progress_fragment import progress_context
from gateway.orders.timeline import OrderTimeline, TimelineStatus
from gateway.web.templating import redirect, render_page

_ON_PAGE = 20
_TOO_LATE = "It is too late to cancel this order. The steps below show what has happened."
_CANCELLATION_NOT_CONFIRMED = (
    "We could not confirm that your cancellation was submitted. Please press the button again in a moment."
)
_TAGS = {
    TimelineStatus.CONFIRMED: "ok",
    TimelineStatus.DISPATCHED: "ok",
    TimelineStatus.CANCELLED: "undo",
    TimelineStatus.REJECTED: "fail",
    TimelineStatus.NEEDS_ATTENTION: "wait",
}


@dataclass(frozen=True)
class Row:
    order_id: UUID
    order_number: str
    ordered_at: datetime | None
    timeline: OrderTimeline
    status: str
    tag: str


def routes(deps: OrderDependencies) -> APIRouter:
    return flatten_routers(_read_routes(deps), _cancel_routes(deps))


def _read_routes(deps: OrderDependencies) -> APIRouter:
    router = deps.page_router()
    User = Annotated[Principal, Depends(require_login(deps))]

    @router.get("/orders")
    async def orders(request: Request, user: User, after: str = "") -> Response:
        last = parse_order_id(after) if after else None
        found = await deps.orders.list_for_customer(user.user_id, last, _ON_PAGE + 1)
        rows = [_row(order_id, timeline) for order_id, timeline in found[:_ON_PAGE]]
        more = rows[-1].order_id if len(found) > _ON_PAGE else None
        return await render_page(deps, request, "orders.html", rows=rows, next=more, after=after)

    @router.get("/orders/{order}")
    async def order(request: Request, order: str, user: User) -> Response:
        return await _render_order(
            deps, request, await load_authorized_order(deps.orders, parse_order_id(order), user)
        )

    @router.get("/orders/{order}/messages")
    async def messages(request: Request, order: str, user: User) -> Response:
        authorized = await load_authorized_order(deps.orders, parse_order_id(order), user)
        timeline = authorized.timeline
        entries = [{"sentence": describe_entry(each, timeline), "at": each.at} for each in timeline.told]
        order_id = authorized.order_id
        return await render_page(
            deps, request, "messages.html", order_id=order_id, number=order_number(order_id), entries=entries
        )

    return router


def _cancel_routes(deps: OrderDependencies) -> APIRouter:
    router = deps.page_router()
    User = Annotated[Principal, Depends(require_login(deps, "/orders/{order}"))]

    @router.post("/orders/{order}/cancellation")
    async def cancel(request: Request, order: str, user: User) -> Response:
        """Cancelling is idempotent, so this form needs no idempotency key."""
        order_id = parse_order_id(order)
        try:
            await deps.orders.cancel(user.user_id, order_id)
        except OrderNotCancellable:
            authorized = await load_authorized_order(deps.orders, order_id, user)
            return await _render_order(deps, request, authorized, 409, _TOO_LATE)
        except PublishNotConfirmed as error:
            authorized = await load_authorized_order(deps.orders, order_id, user)
            response = await _render_order(deps, request, authorized, 503, _CANCELLATION_NOT_CONFIRMED)
            response.headers["Retry-After"] = str(error.retry_after_s)
            return response
        return redirect(f"/orders/{order_id}")

    return router


def _row(order_id: UUID, timeline: OrderTimeline) -> Row:
    tag = _TAGS.get(timeline.status, "work")
    return Row(
        order_id,
        order_number(order_id),
        ordered_at(order_id, timeline),
        timeline,
        describe_status(timeline),
        tag,
    )


async def _render_order(
    deps: OrderDependencies, request: Request, order: AuthorizedOrder, status: int = 200, notice: str = ""
) -> Response:
    given = progress_context(deps.orders.progress(order.order_id, order.timeline), order, order.timeline) | {
        "timeline": order.timeline,
        "delivery_address": await deps.orders.delivery_address(order.timeline),
        "articles": await _articles(deps, order.timeline),
        "ordered_at": ordered_at(order.order_id, order.timeline),
        "now": deps.runtime.clock(),
        "notice": notice,
    }
    return await render_page(deps, request, "order.html", status, **given)


async def _articles(deps: OrderDependencies, timeline: OrderTimeline) -> dict[str, CatalogueArticle] | None:
    """The current articles, for links and for orders without stored titles.

    None while product_svc is unavailable.
    """
    try:
        skus = [line.sku for line in timeline.shown_lines]
        return await deps.catalogue.articles(skus) if skus else {}
    except UpstreamUnavailable:
        return None

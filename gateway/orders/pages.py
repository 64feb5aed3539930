"""The pages of orders: the list, one order with live progress, all its messages, and its cancellation."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.sse import format_sse_event
from starlette.responses import HTMLResponse

from chassis.web.app import flatten_routers
from chassis.web.http_client import UpstreamUnavailable
from gateway.catalogue.client import CatalogueArticle
from gateway.dependencies import GatewayDependencies
from gateway.http.etag import etag_matches
from gateway.http.problems import ProblemError
from gateway.live.sse import MEDIA_TYPE
from gateway.live.subscribe import AuthorizedOrder, accepts, load_authorized_order, open_stream
from gateway.orders.messages import describe_entry, describe_status
from gateway.orders.order_service import OrderNotCancellable, OrderNotFound, PublishNotConfirmed
from gateway.orders.progress import OrderProgress, order_number, ordered_at
from gateway.orders.timeline import OrderTimeline, TimelineStatus
from gateway.web.templating import TEMPLATES, redirect, redirect_to_login, render_page

_ON_PAGE = 20
# Over HTTP/1.1 a browser opens six connections per host, shared by all tabs. Two stay free for other
# requests.
_STREAMS_MAX = 4
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


def routes(deps: GatewayDependencies) -> APIRouter:
    return flatten_routers(_read_routes(deps), _live_routes(deps), _cancel_routes(deps))


def _read_routes(deps: GatewayDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/orders")
    async def orders(request: Request, after: str = "") -> Response:
        if (user := await deps.current_user(request)) is None:
            return redirect_to_login("/orders")
        last = _order_id(after) if after else None
        found = await deps.orders.list_for_customer(user.user_id, last, _ON_PAGE + 1)
        rows = [_row(order_id, timeline) for order_id, timeline in found[:_ON_PAGE]]
        more = rows[-1].order_id if len(found) > _ON_PAGE else None
        return await render_page(deps, request, "orders.html", rows=rows, next=more, after=after)

    @router.get("/orders/{order}")
    async def order(request: Request, order: str) -> Response:
        if (user := await deps.current_user(request)) is None:
            return redirect_to_login(request.url.path)
        return await _render_order(deps, request, await load_authorized_order(deps, _order_id(order), user))

    @router.get("/orders/{order}/messages")
    async def messages(request: Request, order: str) -> Response:
        if (user := await deps.current_user(request)) is None:
            return redirect_to_login(request.url.path)
        authorized = await load_authorized_order(deps, _order_id(order), user)
        entries = [{"sentence": describe_entry(each), "at": each.at} for each in authorized.timeline.told]
        order_id = authorized.order_id
        return await render_page(
            deps, request, "messages.html", order_id=order_id, number=order_number(order_id), entries=entries
        )

    return router


def _live_routes(deps: GatewayDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/orders/{order}/live")
    async def live(request: Request, order: str, after: str = "") -> Response:
        """The event stream for the page's script, or the current fragment if the client accepts HTML only."""
        user = await deps.require_user(request)
        authorized = await load_authorized_order(deps, _order_id(order), user)
        renderer = _HtmlRenderer(deps, authorized)
        if accepts(request, MEDIA_TYPE):
            given = request.headers.get("last-event-id", after)
            return await open_stream(deps, request, authorized, given, renderer, _STREAMS_MAX)
        return _fragment_response(request, renderer.fragment(authorized.timeline))

    return router


def _cancel_routes(deps: GatewayDependencies) -> APIRouter:
    router = deps.page_router()

    @router.post("/orders/{order}/cancellation")
    async def cancel(request: Request, order: str) -> Response:
        """Cancelling is idempotent, so this form needs no idempotency key."""
        if (user := await deps.current_user(request)) is None:
            return redirect_to_login(f"/orders/{order}")
        order_id = _order_id(order)
        try:
            await deps.orders.cancel(user.user_id, order_id)
        except OrderNotFound:
            raise ProblemError("not-found") from None
        except OrderNotCancellable:
            return await _render_order(
                deps, request, await load_authorized_order(deps, order_id, user), 409, _TOO_LATE
            )
        except PublishNotConfirmed as error:
            authorized = await load_authorized_order(deps, order_id, user)
            response = await _render_order(deps, request, authorized, 503, _CANCELLATION_NOT_CONFIRMED)
            response.headers["Retry-After"] = str(error.retry_after_s)
            return response
        return redirect(f"/orders/{order_id}")

    return router


class _HtmlRenderer:
    """An EventRenderer: sends the HTML fragment whenever the progress has changed."""

    def __init__(self, deps: GatewayDependencies, order: AuthorizedOrder) -> None:
        self._deps = deps
        self._order = order
        self._last_progress: OrderProgress | None = None

    def fragment(self, timeline: OrderTimeline) -> str:
        self._last_progress = self._progress(timeline)
        return TEMPLATES.get_template("_journey.html").render(
            _progress_context(self._last_progress, self._order, timeline)
        )

    def new_events(self, timeline: OrderTimeline, after: int) -> Iterator[bytes]:
        if self._progress(timeline) != self._last_progress:
            yield format_sse_event(id=str(timeline.seq), data_str=self.fragment(timeline))

    def full_state(self, timeline: OrderTimeline) -> bytes:
        return format_sse_event(id=str(timeline.seq), event="reset", data_str=self.fragment(timeline))

    def settled(self, timeline: OrderTimeline) -> bool:
        return self._progress(timeline).settled

    def _progress(self, timeline: OrderTimeline) -> OrderProgress:
        return self._deps.live.progress(self._order.order_id, timeline)


def _order_id(given: str) -> UUID:
    """Parses an order id in canonical form. Raises a 404 for any other."""
    try:
        order_id = UUID(given)
    except ValueError:
        raise ProblemError("not-found") from None
    if str(order_id) != given:
        raise ProblemError("not-found")
    return order_id


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


def _progress_context(
    progress: OrderProgress, order: AuthorizedOrder, timeline: OrderTimeline
) -> dict[str, Any]:
    """The context of _journey.html."""
    return {
        "progress": progress,
        "order_id": order.order_id,
        "seq": timeline.seq,
        "owned": timeline.customer_id == order.user.user_id,
    }


async def _render_order(
    deps: GatewayDependencies, request: Request, order: AuthorizedOrder, status: int = 200, notice: str = ""
) -> Response:
    given = _progress_context(deps.live.progress(order.order_id, order.timeline), order, order.timeline) | {
        "timeline": order.timeline,
        "articles": await _articles(deps, order.timeline),
        "ordered_at": ordered_at(order.order_id, order.timeline),
        "now": deps.runtime.clock(),
        "notice": notice,
    }
    return await render_page(deps, request, "order.html", status, **given)


async def _articles(deps: GatewayDependencies, timeline: OrderTimeline) -> dict[str, CatalogueArticle] | None:
    """The current articles, for links and for orders without stored titles.

    None while product_svc is unavailable.
    """
    try:
        skus = [line.sku for line in timeline.shown_lines]
        return await deps.catalogue.articles(skus) if skus else {}
    except UpstreamUnavailable:
        return None


def _fragment_response(request: Request, fragment: str) -> Response:
    etag = f'"{hashlib.sha256(fragment.encode()).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept, Cookie"}
    if etag_matches(etag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(fragment, headers=headers)

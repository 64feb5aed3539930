"""The live updates of an order's page: server-sent events with HTML fragments."""

import hashlib
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from fastapi.sse import ServerSentEvent
from starlette.responses import HTMLResponse

from gateway.http.etag import etag_matches
from gateway.live.dependencies import LiveDependencies
from gateway.live.sse import MEDIA_TYPE
from gateway.live.subscribe import accepts, open_stream
from gateway.orders.authorized_order import AuthorizedOrder, load_authorized_order, parse_order_id
from gateway.orders.customer_orders import CustomerOrders
from gateway.orders.progress import OrderProgress
from gateway.orders.progress_fragment import render_fragment
from gateway.orders.timeline import OrderTimeline

# Over HTTP/1.1 a browser opens six connections per host, shared by all tabs. Two stay free for other
# requests.
_STREAMS_MAX = 4


def routes(deps: LiveDependencies) -> APIRouter:
    router = deps.page_router()

    @router.get("/orders/{order}/live")
    async def live(request: Request, order: str, after: str = "") -> Response:
        """The event stream for the page's script, or the current fragment if the client accepts HTML only."""
        user = await deps.require_user(request)
        authorized = await load_authorized_order(deps.orders, parse_order_id(order), user)
        renderer = _HtmlRenderer(deps.orders, authorized)
        if accepts(request, MEDIA_TYPE):
            given = request.headers.get("last-event-id", after)
            return await open_stream(
                deps, request, authorized, last_event_id=given, renderer=renderer, streams_max=_STREAMS_MAX
            )
        return _fragment_response(request, renderer.fragment(authorized.timeline))

    return router


class _HtmlRenderer:
    """An EventRenderer: sends the HTML fragment whenever the progress has changed."""

    def __init__(self, orders: CustomerOrders, order: AuthorizedOrder) -> None:
        self._orders = orders
        self._order = order
        self._last_progress: OrderProgress | None = None

    def fragment(self, timeline: OrderTimeline) -> str:
        self._last_progress = self._progress(timeline)
        return render_fragment(self._last_progress, self._order, timeline)

    def new_events(self, timeline: OrderTimeline, after: int) -> Iterator[ServerSentEvent]:
        if self._progress(timeline) != self._last_progress:
            yield ServerSentEvent(id=str(timeline.seq), raw_data=self.fragment(timeline))

    def full_state(self, timeline: OrderTimeline) -> ServerSentEvent:
        return ServerSentEvent(id=str(timeline.seq), event="reset", raw_data=self.fragment(timeline))

    def settled(self, timeline: OrderTimeline) -> bool:
        return self._progress(timeline).settled

    def _progress(self, timeline: OrderTimeline) -> OrderProgress:
        return self._orders.progress(self._order.order_id, timeline)


def _fragment_response(request: Request, fragment: str) -> Response:
    etag = f'"{hashlib.sha256(fragment.encode()).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept, Cookie"}
    if etag_matches(etag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(fragment, headers=headers)

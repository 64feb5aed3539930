"""The HTTP API of live updates: server-sent events with JSON data."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel, Field

from chassis.web.problems import problem_responses
from contracts.values import Id
from gateway.auth.principal import Principal
from gateway.live.dependencies import LiveDependencies
from gateway.live.sse import MEDIA_TYPE
from gateway.live.subscribe import open_stream
from gateway.orders.authorized_order import load_authorized_order
from gateway.orders.customer_orders import CustomerOrders
from gateway.orders.messages import describe_entry
from gateway.orders.timeline import OrderTimeline, TimelineEntry, TimelineStatus

_STREAMS_MAX = 6


class TimelineEvent(BaseModel):
    """An entry of the order's timeline. `seq` is also the id of the server-sent event."""

    seq: int
    type: str = Field(examples=["received"])
    at: datetime | None = Field(description="when the event was published; null if unknown")
    sentence: str = Field(examples=["The items are reserved for you."])
    status: TimelineStatus = Field(description="the current status of the order")


class TimelineSnapshot(BaseModel):
    """The complete timeline, for a reader whose last event id is unknown."""

    seq: int
    status: TimelineStatus
    news: list[TimelineEvent]


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream of `message` events, each with an id to resume from and a TimelineEvent "
        "as its data;"
        " `reset` with a TimelineSnapshot, if the last event id is unknown; `end` when no more events are "
        "expected;"
        " `farewell` when the stream ends for another reason (`come back`, `log in`).",
        "content": {MEDIA_TYPE: {"schema": {}, "example": 'id: 2\ndata: {"seq": 2, "type": "…"}\n\n'}},
    },
    204: {"description": "The reader has all events, and no more are expected: do not reconnect."},
}


class _JsonRenderer:
    """See gateway.live.sse.EventRenderer."""

    def __init__(self, orders: CustomerOrders, order_id: UUID) -> None:
        self._orders = orders
        self._order_id = order_id

    def new_events(self, timeline: OrderTimeline, after: int) -> Iterator[ServerSentEvent]:
        for entry in timeline.since(after):
            yield ServerSentEvent(id=str(entry.seq), raw_data=_event_of(entry, timeline).model_dump_json())

    def full_state(self, timeline: OrderTimeline) -> ServerSentEvent:
        news = [_event_of(entry, timeline) for entry in timeline.told]
        full_state = TimelineSnapshot(seq=timeline.seq, status=timeline.status, news=news)
        return ServerSentEvent(id=str(timeline.seq), event="reset", raw_data=full_state.model_dump_json())

    def settled(self, timeline: OrderTimeline) -> bool:
        return self._orders.progress(self._order_id, timeline).settled


def routes(deps: LiveDependencies) -> APIRouter:
    router = deps.api_router("orders", prefix="/api/v1")

    @router.get(
        "/orders/{order_id}/events",
        response_class=Response,
        responses=_STREAM | problem_responses(401, 404, 406, 422, 429, 503),
    )
    async def events(
        request: Request,
        order_id: Id,
        user: Annotated[Principal, Depends(deps.require_user)],
        last_event_id: Annotated[str | None, Header(description="resume after this event")] = None,
        after: Annotated[
            str | None, Query(description="as Last-Event-ID, for the first request", examples=["7"])
        ] = None,
    ) -> Response:
        """Live updates of an order. Resume with the id of the last event, at any instance."""
        order = await load_authorized_order(deps.orders, order_id, user)
        # A reconnecting EventSource sends both: the header is newer.
        given = after if last_event_id is None else last_event_id
        renderer = _JsonRenderer(deps.orders, order_id)
        return await open_stream(
            deps, request, order, last_event_id=given, renderer=renderer, streams_max=_STREAMS_MAX
        )

    return router


def _event_of(entry: TimelineEntry, timeline: OrderTimeline) -> TimelineEvent:
    return TimelineEvent(
        seq=entry.seq,
        type=entry.type,
        at=entry.at,
        sentence=describe_entry(entry, timeline),
        status=timeline.status,
    )

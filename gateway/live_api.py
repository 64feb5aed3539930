"""An order's news for programs: server-sent events with JSON in them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import format_sse_event
from pydantic import BaseModel, Field

from contracts.problem import answers
from contracts.values import Id
from gateway.following import begin, watched
from gateway.house import House
from gateway.journey import Journey, Status, Told
from gateway.stream import MEDIA_TYPE, Live
from gateway.visitor import Visitor
from gateway.wording import in_words

_STREAMS_MAX = 6


class News(BaseModel):
    """One thing that was told of the order. `seq` is also the id of the event."""

    seq: int
    type: str = Field(examples=["received"])
    at: datetime | None = Field(description="when it was said; null if that is not known")
    sentence: str = Field(examples=["The items are reserved for you."])
    status: Status = Field(description="of the order, as far as is known now")


class Whole(BaseModel):
    """All that was told: for a reader whose last id is none of ours."""

    seq: int
    status: Status
    news: list[News]


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream of `message` events, each with an id to resume by and a News as its data; `reset` with"
        " everything, if the last id was none of ours; `end` once the order is at rest; `farewell` when the stream ends"
        " for another reason (`come back`, `log in`).",
        "content": {MEDIA_TYPE: {"schema": {}, "example": 'id: 2\ndata: {"seq": 2, "type": "…"}\n\n'}},
    },
    204: {"description": "The order is at rest, and the reader has seen all of it: do not come back."},
}


class _AsJson:
    """See gateway.stream.Telling."""

    def __init__(self, live: Live, order_id: UUID) -> None:
        self._live, self._order_id = live, order_id

    def news(self, journey: Journey, after: int) -> Iterator[bytes]:
        for told in journey.since(after):
            yield format_sse_event(id=str(told.seq), data_str=_news(told, journey).model_dump_json())

    def whole(self, journey: Journey) -> bytes:
        news = [_news(told, journey) for told in journey.told]
        whole = Whole(seq=journey.seq, status=journey.status, news=news)
        return format_sse_event(id=str(journey.seq), event="reset", data_str=whole.model_dump_json())

    def resting(self, journey: Journey) -> bool:
        return self._live.picture(self._order_id, journey).resting


def routes(house: House) -> APIRouter:
    router = house.api("orders", prefix="/api/v1")

    @router.get(
        "/orders/{order_id}/events",
        response_class=Response,
        responses=_STREAM | answers(401, 404, 406, 422, 429, 503),
    )
    async def events(
        request: Request,
        order_id: Id,
        member: Annotated[Visitor, Depends(house.member)],
        last_event_id: Annotated[str | None, Header(description="resumes after this event")] = None,
        after: Annotated[str | None, Query(description="the same, for a first request", examples=["7"])] = None,
    ) -> Response:
        """The order's news as it comes. Resume with the id of the last event, at any instance."""
        order = await watched(house, order_id, member)
        given = after if last_event_id is None else last_event_id  # the address was written before the header
        return await begin(house, request, order, given, _AsJson(house.live, order_id), _STREAMS_MAX)

    return router


def _news(told: Told, journey: Journey) -> News:
    return News(seq=told.seq, type=told.type, at=told.at, sentence=in_words(told), status=journey.status)

"""The pages about orders: somebody's orders, one order's journey as it happens, all its news, and its cancellation."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.sse import format_sse_event
from starlette.responses import HTMLResponse

from chassis.http import joined
from gateway.catalogue import Article
from gateway.conditional import is_known
from gateway.following import Watched, accepts, begin, watched
from gateway.house import House
from gateway.journey import Journey, Status
from gateway.orders import NotTaken, NotThere, TooLate
from gateway.picture import Picture, begun_at, number
from gateway.problems import Refusal
from gateway.stream import MEDIA_TYPE
from gateway.upstream import Away
from gateway.web.showing import TEMPLATES, go, log_in_first, show
from gateway.wording import in_words, status_in_words

_ON_PAGE = 20
# A browser has six connections to a shop, for all its tabs together: two stay free for everything else.
_STREAMS_MAX = 4
_TOO_LATE = "It is too late to cancel this order. Its journey below says what has happened."
_NOT_PASSED_ON = "We could not pass on your cancellation safely just now. Please press the button again in a moment."
_TAGS = {
    Status.CONFIRMED: "ok",
    Status.DISPATCHED: "ok",
    Status.CANCELLED: "undo",
    Status.REJECTED: "fail",
    Status.NEEDS_ATTENTION: "wait",
}


@dataclass(frozen=True)
class Row:
    order_id: UUID
    number: str
    begun_at: datetime | None
    journey: Journey
    status: str
    tag: str


def routes(house: House) -> APIRouter:
    return joined(_to_read(house), _to_follow(house), _to_cancel(house))


def _to_read(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/orders")
    async def orders(request: Request, after: str = "") -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first("/orders")
        last = _order_id(after) if after else None
        found = await house.orders.mine(visitor.user_id, last, _ON_PAGE + 1)
        rows = [_row(order_id, journey) for order_id, journey in found[:_ON_PAGE]]
        more = rows[-1].order_id if len(found) > _ON_PAGE else None
        return await show(house, request, "orders.html", rows=rows, next=more, after=after)

    @router.get("/orders/{order}")
    async def order(request: Request, order: str) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(request.url.path)
        return await _shown(house, request, await watched(house, _order_id(order), visitor))

    @router.get("/orders/{order}/messages")
    async def messages(request: Request, order: str) -> Response:
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(request.url.path)
        seen = await watched(house, _order_id(order), visitor)
        told = [{"sentence": in_words(each), "at": each.at} for each in seen.journey.told]
        order_id = seen.order_id
        return await show(house, request, "messages.html", order_id=order_id, number=number(order_id), told=told)

    return router


def _to_follow(house: House) -> APIRouter:
    router = house.pages()

    @router.get("/orders/{order}/live")
    async def live(request: Request, order: str, after: str = "") -> Response:
        """The stream for the script of the page; to whoever asks for HTML, what the stream would send now."""
        member = await house.member(request)
        seen = await watched(house, _order_id(order), member)
        telling = _AsPage(house, seen)
        if accepts(request, MEDIA_TYPE):
            given = request.headers.get("last-event-id", after)
            return await begin(house, request, seen, given, telling, _STREAMS_MAX)
        return _piece(request, telling.piece(seen.journey))

    return router


def _to_cancel(house: House) -> APIRouter:
    router = house.pages()

    @router.post("/orders/{order}/cancellation")
    async def cancel(request: Request, order: str) -> Response:
        """A second press asks for the same end, so this form needs no key."""
        if (visitor := await house.visitor(request)) is None:
            return log_in_first(f"/orders/{order}")
        order_id = _order_id(order)
        try:
            await house.orders.cancel(visitor.user_id, order_id)
        except NotThere:
            raise Refusal("not-found") from None
        except TooLate:
            return await _shown(house, request, await watched(house, order_id, visitor), 409, _TOO_LATE)
        except NotTaken as error:
            seen = await watched(house, order_id, visitor)
            answer = await _shown(house, request, seen, 503, _NOT_PASSED_ON)
            answer.headers["Retry-After"] = str(error.retry_after_s)
            return answer
        return go(f"/orders/{order_id}")

    return router


class _AsPage:
    """See gateway.stream.Telling: the journey as a piece of its page, whenever that looks different."""

    def __init__(self, house: House, order: Watched) -> None:
        self._house, self._order = house, order
        self._shown: Picture | None = None

    def piece(self, journey: Journey) -> str:
        self._shown = self._picture(journey)
        return TEMPLATES.get_template("_journey.html").render(_given(self._shown, self._order, journey))

    def news(self, journey: Journey, after: int) -> Iterator[bytes]:
        if self._picture(journey) != self._shown:
            yield format_sse_event(id=str(journey.seq), data_str=self.piece(journey))

    def whole(self, journey: Journey) -> bytes:
        return format_sse_event(id=str(journey.seq), event="reset", data_str=self.piece(journey))

    def resting(self, journey: Journey) -> bool:
        return self._picture(journey).resting

    def _picture(self, journey: Journey) -> Picture:
        return self._house.live.picture(self._order.order_id, journey)


def _order_id(given: str) -> UUID:
    """In its one spelling only."""
    try:
        order_id = UUID(given)
    except ValueError:
        raise Refusal("not-found") from None
    if str(order_id) != given:
        raise Refusal("not-found")
    return order_id


def _row(order_id: UUID, journey: Journey) -> Row:
    tag = _TAGS.get(journey.status, "work")
    return Row(order_id, number(order_id), begun_at(order_id, journey), journey, status_in_words(journey), tag)


def _given(picture: Picture, order: Watched, journey: Journey) -> dict[str, Any]:
    """What _journey.html needs."""
    return {
        "picture": picture,
        "order_id": order.order_id,
        "seq": journey.seq,
        "owned": journey.customer_id == order.member.user_id,
    }


async def _shown(house: House, request: Request, order: Watched, status: int = 200, notice: str = "") -> Response:
    given = _given(house.live.picture(order.order_id, order.journey), order, order.journey) | {
        "journey": order.journey,
        "articles": await _articles(house, order.journey),
        "begun_at": begun_at(order.order_id, order.journey),
        "now": house.runtime.clock(),
        "notice": notice,
    }
    return await show(house, request, "order.html", status, **given)


async def _articles(house: House, journey: Journey) -> dict[str, Article] | None:
    """The articles of today, to link to, and for orders without titles of their own; None while they are not known."""
    try:
        skus = [line.sku for line in journey.shown_lines]
        return await house.catalogue.articles(skus) if skus else {}
    except Away:
        return None


def _piece(request: Request, piece: str) -> Response:
    etag = f'"{hashlib.sha256(piece.encode()).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept, Cookie"}
    if is_known(etag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(piece, headers=headers)

"""Beginning to follow an order: who may, in which form, from where on. All of it is settled before a stream begins."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from contracts.access import NotValid
from gateway.house import House
from gateway.journey import Journey
from gateway.problems import Refusal
from gateway.stream import MEDIA_TYPE, EventStream, NoSeat, Telling, events, last_seen
from gateway.upstream import Away
from gateway.visitor import Visitor

_COME_BACK_S = "30"


@dataclass(frozen=True)
class Watched:
    """An order, as it was when `member` asked to follow it."""

    order_id: UUID
    journey: Journey
    member: Visitor


async def watched(house: House, order_id: UUID, member: Visitor) -> Watched:
    """The order, if it is theirs, or if they are staff. Nobody learns that there are orders of other people."""
    journey = await house.orders.of(order_id)
    if journey is None or (journey.customer_id != member.user_id and not member.is_staff):
        raise Refusal("not-found")
    return Watched(order_id, journey, member)


def accepts(request: Request, media_type: str) -> bool:
    """Whether Accept lets us answer so (RFC 9110, section 12.5.1)."""
    main = media_type.partition("/")[0]
    given = request.headers.get("accept") or "*/*"
    ranges = [part.partition(";") for part in given.lower().replace(" ", "").split(",")]
    return any(
        name in (media_type, f"{main}/*", "*/*")
        and "q=0" not in (parameters := rest.split(";"))
        and "q=0.0" not in parameters
        for name, _, rest in ranges
    )


async def begin(
    house: House, request: Request, order: Watched, given: str | None, telling: Telling, seats_max: int
) -> Response:
    """`given`: the last id that the reader has seen, as it says."""
    if not accepts(request, MEDIA_TYPE):
        raise Refusal("not-acceptable", f"what comes here is {MEDIA_TYPE}")
    after = last_seen(given)
    if after == order.journey.seq and telling.resting(order.journey):
        return Response(status_code=204)
    try:
        leave = house.live.seats.take(order.member.user_id, seats_max)
    except NoSeat:
        detail = f"{seats_max} streams are open already; close one, or ask for the order now and then"
        raise Refusal("too-many", detail, headers={"Retry-After": _COME_BACK_S}) from None

    async def may_stay() -> bool:
        return await _may_read(house, request, order)

    async def follow() -> AsyncGenerator[bytes, None]:
        async with house.live.hub.watch(order.order_id) as watch:
            async for event in events(watch, order.journey, after, telling, may_stay, house.live.pace):
                yield event

    return EventStream(follow(), leave)


async def _may_read(house: House, request: Request, order: Watched) -> bool:
    """Whether who began to read would be let in again: sessions end, tokens expire, roles are revoked."""
    try:
        visitor = await house.identified(request)
    except NotValid:
        return False
    except Away:
        return True  # that says nothing about who they are
    if visitor is None or visitor.user_id != order.member.user_id:
        return False
    return visitor.is_staff or order.journey.customer_id == visitor.user_id

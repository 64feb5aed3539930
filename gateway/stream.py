"""An order's news as server-sent events, resumable: an event's id is the `seq` of the journey as of then.

Everything that can be refused is refused before a stream begins; what happens afterwards is an event. The stream ends
by itself: when the order is at rest, when the instance stops, when its reader is logged out, and after a while anyway,
so that readers spread over new instances. The reader then comes back with the last id, to any instance.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chassis.runtime import Runtime
from chassis.store import StoreUnavailable
from gateway.journey import Journey
from gateway.live import Hub, Watch
from gateway.picture import Picture, draw

MEDIA_TYPE = "text/event-stream"
RETRY_MS = 2000


@dataclass(frozen=True)
class Pace:
    """How often, how long. `tick_s`: a picture also changes because nothing happens."""

    tick_s: float = 1.0
    ping_s: float = 15.0
    check_s: float = 5.0
    life_s: float = 600.0


class Telling(Protocol):
    """How a journey is put into events: as JSON, or as a piece of the page."""

    def news(self, journey: Journey, after: int) -> Iterator[bytes]:
        """What a reader who has seen `after` does not know yet."""
        ...

    def whole(self, journey: Journey) -> bytes:
        """All there is, for a reader whose last id is none of ours."""
        ...

    def resting(self, journey: Journey) -> bool: ...


class NoSeat(Exception):
    """The user has as many streams open here as one may have."""


class Seats:
    """How many streams each user has open at this instance."""

    def __init__(self) -> None:
        self._taken: dict[UUID, int] = {}

    def taken(self, user_id: UUID) -> int:
        return self._taken.get(user_id, 0)

    def take(self, user_id: UUID, seats_max: int) -> Callable[[], None]:
        """Returns what gives the seat back. Raises NoSeat."""
        if self.taken(user_id) >= seats_max:
            raise NoSeat
        self._taken[user_id] = self.taken(user_id) + 1
        return lambda: self._leave(user_id)

    def _leave(self, user_id: UUID) -> None:
        self._taken[user_id] -= 1
        if not self._taken[user_id]:
            del self._taken[user_id]


class Live:
    """What all streams of one instance have in common. `deadline`: after how long order_svc ends an order."""

    def __init__(self, runtime: Runtime, stopping: asyncio.Event, deadline: timedelta, pace: Pace = Pace()) -> None:
        self.hub, self.seats, self.pace = Hub(runtime.store, stopping), Seats(), pace
        self._clock, self._deadline = runtime.clock, deadline

    def picture(self, order_id: UUID, journey: Journey) -> Picture:
        """As of now."""
        return draw(order_id, journey, self._clock(), self._deadline)


class EventStream(StreamingResponse):
    """`leave` is called once, however the stream ends, also if it never began."""

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncGenerator[bytes, None], leave: Callable[[], None]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events, self._leave = events, leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()
            await self._events.aclose()  # a reader who hangs up leaves it where it was


def last_seen(given: str | None) -> int | None:
    """The reader's last id; 0: nothing yet. None: that is no id of ours."""
    if not given:
        return 0
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None


async def events(
    watch: Watch,
    journey: Journey,
    after: int | None,
    telling: Telling,
    may_stay: Callable[[], Awaitable[bool]],
    pace: Pace,
) -> AsyncIterator[bytes]:
    """From a journey that was read before `watch` began, or just after: what changes in between is in its news."""
    clock = asyncio.get_running_loop().time
    began_at = said_at = checked_at = clock()
    life_s = pace.life_s * random.uniform(0.8, 1.2)
    yield format_sse_event(retry=RETRY_MS)
    if after is None or after > journey.seq:
        yield telling.whole(journey)
        after = journey.seq
    while True:
        for event in telling.news(journey, after):
            yield event
            said_at = clock()
        after = journey.seq
        if telling.resting(journey):
            yield _farewell("end", "at rest")
            return
        if (newer := await watch.news(pace.tick_s)) is not None and newer.seq >= journey.seq:
            journey = newer
        if watch.ended or clock() - began_at > life_s:
            yield _farewell("farewell", "come back")
            return
        if journey.seq > after or clock() - checked_at > pace.check_s:  # an ended session gets no more news
            if not await _stays(may_stay):
                yield _farewell("farewell", "log in")
                return
            checked_at = clock()
        if clock() - said_at > pace.ping_s:
            yield format_sse_event(comment="ping")
            said_at = clock()


async def _stays(may_stay: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await may_stay()
    except StoreUnavailable:
        return True  # asked again soon


def _farewell(event: str, why: str) -> bytes:
    return format_sse_event(event=event, data_str=why)

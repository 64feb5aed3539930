"""Server-sent events of an order, resumable: an event's id is the timeline's `seq`.

Errors before the stream begins are HTTP responses; later ones are events. The server ends a stream when the
order is settled, when the instance stops, when the reader's session ends, and after about ten minutes, so
that readers move to new instances. The client then reconnects with the last id, to any instance.
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from fastapi.sse import ServerSentEvent
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chassis.runtime import Runtime
from chassis.store.protocol import StoreUnavailable
from gateway.live.hub import Hub, OrderSubscription
from gateway.orders.timeline import OrderTimeline

MEDIA_TYPE = "text/event-stream"
RETRY_MS = 2000
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class StreamTimings:
    """Intervals and lifetime of a stream.

    `tick_s`: how often to render, because progress also changes with time.

    `check_s`: how often to authorize the reader again.
    """

    tick_s: float = 1.0
    ping_s: float = 15.0
    check_s: float = 5.0
    life_s: float = 600.0


class EventRenderer(Protocol):
    """Renders a timeline as server-sent events: as JSON or as HTML fragments."""

    def new_events(self, timeline: OrderTimeline, after: int) -> Iterator[ServerSentEvent]:
        """The events after the `seq` in `after`."""
        ...

    def full_state(self, timeline: OrderTimeline) -> ServerSentEvent:
        """The complete state, for a reader with an unknown last event id."""
        ...

    def settled(self, timeline: OrderTimeline) -> bool: ...


def encode_event(event: ServerSentEvent) -> bytes:
    """The event in the format of the HTML standard, section 9.2.6. `data` is not sent: use `raw_data`."""
    fields = (
        ("", event.comment),
        ("event", event.event),
        ("data", event.raw_data),
        ("id", event.id),
        ("retry", event.retry),
    )
    lines = (
        f"{name}: {line}"
        for name, value in fields
        if value is not None
        for line in _LINE_END.split(str(value))
    )
    return ("\n".join(lines) + "\n\n").encode()


class TooManyStreams(Exception):
    """The user has reached the limit of open streams at this instance."""


class StreamQuota:
    """How many streams each user has open at this instance."""

    def __init__(self) -> None:
        self._open: dict[UUID, int] = {}

    def open_streams(self, user_id: UUID) -> int:
        return self._open.get(user_id, 0)

    def acquire(self, user_id: UUID, streams_max: int) -> Callable[[], None]:
        """Returns the function that releases the slot. Raises TooManyStreams."""
        if self.open_streams(user_id) >= streams_max:
            raise TooManyStreams
        self._open[user_id] = self.open_streams(user_id) + 1
        return lambda: self._release(user_id)

    def _release(self, user_id: UUID) -> None:
        self._open[user_id] -= 1
        if not self._open[user_id]:
            del self._open[user_id]


class LiveUpdates:
    """Shared by the streams of one instance."""

    def __init__(
        self, runtime: Runtime, stopping: asyncio.Event, timings: StreamTimings = StreamTimings()
    ) -> None:
        self.hub = Hub(runtime.store, stopping)
        self.quota = StreamQuota()
        self.timings = timings


class EventStream(StreamingResponse):
    """Calls `release` once when the stream ends, also if it never began."""

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncGenerator[bytes, None], release: Callable[[], None]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()
            await self._events.aclose()  # a disconnect leaves the generator suspended


def parse_last_event_id(given: str | None) -> int | None:
    """The `seq` to resume after: 0 for a new reader, None for an id that the gateway cannot have sent."""
    if not given:
        return 0
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None


async def stream_events(
    subscription: OrderSubscription,
    timeline: OrderTimeline,
    after: int | None,
    renderer: EventRenderer,
    may_continue: Callable[[], Awaitable[bool]],
    timings: StreamTimings,
) -> AsyncIterator[ServerSentEvent]:
    """`timeline` may be older than the subscription: the first update contains the changes in between."""
    clock = asyncio.get_running_loop().time
    began_at = sent_at = checked_at = clock()
    life_s = timings.life_s * random.uniform(0.8, 1.2)
    yield ServerSentEvent(retry=RETRY_MS)
    if after is None or after > timeline.seq:
        yield renderer.full_state(timeline)
        after = timeline.seq
    while True:
        for event in renderer.new_events(timeline, after):
            yield event
            sent_at = clock()
        after = timeline.seq
        if renderer.settled(timeline):
            yield _farewell("end", "at rest")
            return
        if (
            newer := await subscription.wait_for_update(timings.tick_s)
        ) is not None and newer.seq >= timeline.seq:
            timeline = newer
        if subscription.ended or clock() - began_at > life_s:
            yield _farewell("farewell", "come back")
            return
        # no updates after the session has ended
        if timeline.seq > after or clock() - checked_at > timings.check_s:
            if not await _may_continue(may_continue):
                yield _farewell("farewell", "log in")
                return
            checked_at = clock()
        if clock() - sent_at > timings.ping_s:
            yield ServerSentEvent(comment="ping")
            sent_at = clock()


async def _may_continue(may_continue: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await may_continue()
    except StoreUnavailable:
        return True  # checked again soon


def _farewell(event: str, why: str) -> ServerSentEvent:
    return ServerSentEvent(event=event, raw_data=why)

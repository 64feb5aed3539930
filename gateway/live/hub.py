"""Notifies the streams of this instance about changed timelines: one query polls all subscribed orders.

All instances read the same database, so they see the same timelines, whichever instance handles an event. No
update is lost between reading a timeline and subscribing to it. See docs/decisions/0009.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from chassis import telemetry
from chassis.store.protocol import Loaded, Store, StoreRefused, StoreUnavailable
from gateway.orders.aggregates import TIMELINES
from gateway.orders.timeline import OrderTimeline

POLL_S = 0.25
STORE_RETRY_S = 2.0  # the poll interval while the database is unavailable


class OrderSubscription:
    """One stream of one order.

    It holds the newest timeline and no queue: a slow reader skips states but no entries.
    """

    def __init__(self) -> None:
        self._timeline: OrderTimeline | None = None
        self._updated = asyncio.Event()
        self._ended = False

    def notify(self, timeline: OrderTimeline) -> None:
        self._timeline = timeline
        self._updated.set()

    def end(self) -> None:
        self._ended = True
        self._updated.set()

    @property
    def ended(self) -> bool:
        """No more updates will come: the instance is shutting down, or cannot read the timeline."""
        return self._ended

    async def wait_for_update(self, within_s: float) -> OrderTimeline | None:
        """Returns the timeline as soon as it has changed, or None after `within_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._updated.wait()
        timeline, self._timeline = self._timeline, None
        if not self._ended:
            self._updated.clear()
        return timeline


class Hub:
    """All subscriptions of one instance. It polls only while there are any."""

    def __init__(self, store: Store, stopping: asyncio.Event, poll_s: float = POLL_S) -> None:
        self._store = store
        self._stopping = stopping
        self._poll_s = poll_s
        self._subscriptions: dict[str, set[OrderSubscription]] = {}
        self._versions: dict[str, int] = {}
        self._poller: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        return self._poller is None or self._poller.done()

    @asynccontextmanager
    async def subscribe(self, order_id: UUID) -> AsyncIterator[OrderSubscription]:
        """The first update is the timeline that the next poll reads."""
        key, subscription = str(order_id), OrderSubscription()
        self._subscriptions.setdefault(key, set()).add(subscription)
        self._versions.pop(key, None)  # so that the next poll also notifies the new subscription
        if self.idle:
            self._poller = asyncio.create_task(self._poll(), name="live")
        try:
            yield subscription
        finally:
            self._subscriptions[key].discard(subscription)
            if not self._subscriptions[key]:
                del self._subscriptions[key]
                self._versions.pop(key, None)

    async def _poll(self) -> None:
        try:
            while self._subscriptions and not self._stopping.is_set():
                pause_s = self._poll_s
                try:
                    self._notify(await self._store.load(TIMELINES.kind, list(self._subscriptions)))
                except (StoreUnavailable, StoreRefused):
                    pause_s = STORE_RETRY_S  # the streams stay open
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._stopping.wait()
        finally:  # also after a bug: streams that are never updated would look alive
            for subscriptions in self._subscriptions.values():
                self._end(subscriptions)

    def _notify(self, found: dict[str, Loaded]) -> None:
        for key, loaded in found.items():
            if (
                loaded.state is None
                or loaded.version == self._versions.get(key, 0)
                or key not in self._subscriptions
            ):
                continue
            self._versions[key] = loaded.version
            try:
                timeline: OrderTimeline = TIMELINES.codec.load(loaded.state)
            except ValueError:  # written by a newer release: its readers reconnect to another instance
                telemetry.log.warning("journey not readable", order_id=key)
                self._end(self._subscriptions[key])
                continue
            for subscription in self._subscriptions[key]:
                subscription.notify(timeline)

    def _end(self, subscriptions: Iterable[OrderSubscription]) -> None:
        for subscription in subscriptions:
            subscription.end()

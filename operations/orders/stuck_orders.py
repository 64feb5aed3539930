"""Stuck orders: which message each waits for, since when, and what resolves it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from chassis import telemetry
from chassis.cancellation import cancel
from chassis.clock import Clock
from journey.admin.broker.input_queues import by_input_queue
from journey.admin.diagnosis.pending_messages import PendingDelivery
from journey.admin.diagnosis.snapshot import Location, LocationKind, ShopSnapshot, locate
from journey.admin.diagnosis.stuck import StuckOrder
from journey.admin.diagnosis.stuck_search import Search
from operations.dead_letters.cache import DeadLetterCache, DeadLetterSnapshot
from operations.monitoring.poller import SystemPoller
from operations.monitoring.snapshot import MonitoringSnapshot
from operations.web.templating import dead_letter_path

AGES = {f"{minutes}m": timedelta(minutes=minutes) for minutes in (1, 2, 10, 60)}
USUAL_AGE = "2m"
_FRESH = timedelta(seconds=10)
_LISTED_MAX = 100


def known_circumstances(
    addresses: Mapping[str, str], snapshot: MonitoringSnapshot, dead_letter_snapshot: DeadLetterSnapshot
) -> ShopSnapshot:
    """The cached state in the form that journey's diagnosis takes."""
    unready = {name: each.unready for name, each in snapshot.readiness.items() if each.unready}
    depths = None if snapshot.unknown_since or snapshot.as_of is None else by_input_queue(snapshot.traffic)
    return ShopSnapshot(
        addresses,
        unready,
        depths,
        dead_letter_snapshot.dead_letters,
        snapshot.alarms,
        dead_letter_snapshot.unread,
        snapshot.for_update,
    )


@dataclass(frozen=True)
class PendingReason:
    """A message that an order waits for, where it is, and what happens next, by itself or with help."""

    awaited: PendingDelivery
    where: Location
    dead_letter_path: str  # the path of the dead letter, if it is one
    has_no_consumer: bool  # its queue has no consumer

    @classmethod
    def of(cls, awaited: PendingDelivery, where: Location, circumstances: ShopSnapshot) -> "PendingReason":
        dead_letter, depth = (
            circumstances.dead_letter_for(awaited),
            (circumstances.depths or {}).get(awaited.queue),
        )
        has_no_consumer = depth is not None and depth.consumers == 0
        return cls(awaited, where, dead_letter_path(dead_letter) if dead_letter else "", has_no_consumer)

    @property
    def ends_by(self) -> str:
        match self.where.where:
            case LocationKind.DEAD:
                return "Nothing by itself: look at the dead letter, fix the cause, redrive it."
            case LocationKind.SERVICE_DOWN | LocationKind.NOT_READY:
                return f"It continues by itself once {self.awaited.service} runs again: start it."
            case LocationKind.PAUSED:
                return "It is retried automatically until the external service responds."
            case LocationKind.NEXT_RELEASE:
                return f"It continues by itself once {self.awaited.service} is updated again."
            case LocationKind.BLOCKED:
                return "It is published automatically once the broker has room again."
            case LocationKind.ON_ITS_WAY if self.has_no_consumer:
                return (
                    f"{self.awaited.queue} has no consumer: it continues by itself once "
                    f"{self.awaited.service} runs."
                )
            case LocationKind.ON_ITS_WAY:
                return "It is delivered, or retried within 10 minutes, automatically."
            case LocationKind.UNREAD:
                return (
                    "Nothing by itself, if it is a dead letter: redrive or drop the older ones, then refresh."
                )
            case LocationKind.NOWHERE:
                return f"Nothing by itself. At a terminal: {self.where.remedy.replace('`', '')}"
            case _:
                return "Unknown while the broker does not report the contents of its queues."


@dataclass(frozen=True)
class StuckOrderView:
    order: StuckOrder
    waits: tuple[PendingReason, ...]


@dataclass(frozen=True)
class StuckOrderList:
    """`orders`: the first of `count`.

    `partial`: why there may be more than these; empty if the list is complete.
    """

    at: datetime
    orders: tuple[StuckOrderView, ...]
    count: int
    compared: int
    is_done: bool
    partial: str


class _Search:
    """A search, which may take a while, and its results so far by the minimum time that an order has
    waited.
    """

    def __init__(self, http: httpx.AsyncClient, circumstances: ShopSnapshot, at: datetime) -> None:
        self.at = at
        self.circumstances = circumstances
        self.took = timedelta(0)
        self.listed: dict[str, list[StuckOrder]] = {age: [] for age in AGES}
        self.counts = Counter[str]()
        self.failed = False
        self.search = Search(http, circumstances, at - min(AGES.values()))
        self.task = asyncio.create_task(self._run(), name="look for stuck orders")

    async def _run(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with aclosing(self.search.found()) as found:
                async for order in found:
                    self._note(order)
        except Exception:
            self.failed = True
            telemetry.log.exception("could not search for stuck orders")
        self.took = timedelta(seconds=asyncio.get_running_loop().time() - began)

    def _note(self, order: StuckOrder) -> None:
        for age, waited in AGES.items():
            if order.since <= self.at - waited:
                self.counts[age] += 1
                if len(self.listed[age]) < _LISTED_MAX:
                    self.listed[age].append(order)


class StuckOrders:
    """Searches for stuck orders once for all viewers, no more often than needed,
    and shows partial results.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        addresses: Mapping[str, str],
        poller: SystemPoller,
        dead_letters: DeadLetterCache,
        clock: Clock,
    ) -> None:
        self._http = http
        self._addresses = addresses
        self._poller = poller
        self._dead_letters = dead_letters
        self._clock = clock
        self._search: _Search | None = None
        self._starting = asyncio.Lock()
        self._counting: asyncio.Task[None] | None = None
        self.first_s = 1.0
        self.count: int | None = None

    async def circumstances(self) -> ShopSnapshot:
        return known_circumstances(
            self._addresses, self._poller.snapshot, await self._dead_letters.snapshot()
        )

    async def find(self, age: str = USUAL_AGE) -> StuckOrderList:
        """Waits briefly for the search to end; if it does not, returns the results so far."""
        async with self._starting:
            search = self._search
            if search is None or (search.task.done() and self._age(search) > _max_age(search)):
                search = self._search = _Search(self._http, await self.circumstances(), self._clock())
        await asyncio.wait([search.task], timeout=self.first_s)
        if search.task.done():
            self.count = None if search.failed else search.counts[USUAL_AGE]
        oldest = sorted(search.listed[age], key=lambda order: order.since)
        orders = tuple(_stuck_order_view(order, search.circumstances, search.at) for order in oldest)
        compared, is_done = search.search.compared, search.task.done()
        return StuckOrderList(search.at, orders, search.counts[age], compared, is_done, _partial(search))

    def count_in_background(self) -> None:
        """Count again in the background if the last count is old."""
        search = self._search
        is_old = search is None or (search.task.done() and self._age(search) > 3 * _max_age(search))
        if is_old and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count(), name="count stuck orders")

    async def close(self) -> None:
        tasks = [self._counting] if self._counting is not None else []
        tasks += [self._search.task] if self._search is not None else []
        await cancel(tasks)

    async def _count(self) -> None:
        try:
            while not (await self.find()).is_done:
                pass
        except Exception:
            self.count = None
            telemetry.log.exception("could not count stuck orders")

    def _age(self, search: _Search) -> timedelta:
        return abs(self._clock() - search.at)  # abs(): the clock may be set back


def _max_age(search: _Search) -> timedelta:
    """How long a result is reused: a slow search is not repeated at once."""
    return max(_FRESH, 4 * search.took)


def _partial(search: _Search) -> str:
    reasons = [f"{name} does not respond" for name in search.search.silent]
    if search.circumstances.dead_letters is None:
        reasons.append("the broker does not return its dead letters")
    reasons += [
        f"{count:,} dead letters in {queue} were not read"
        for queue, count in search.circumstances.unread.items()
    ]
    if search.failed:
        reasons.append("the search failed; see the log of operations")
    return ", and ".join(reasons)


def _stuck_order_view(order: StuckOrder, circumstances: ShopSnapshot, at: datetime) -> StuckOrderView:
    waits = (
        PendingReason.of(each, locate(each, circumstances, at, order.since), circumstances)
        for each in order.awaited
    )
    return StuckOrderView(order, tuple(waits))

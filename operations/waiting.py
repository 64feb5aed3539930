"""Orders that wait for too long: for what and for whom, since when, and what ends it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from chassis import telemetry
from chassis.handle import Clock
from journey.awaited import Awaited
from journey.circumstances import Circumstances, Where, Whereabouts, whereabouts
from journey.stuck import StuckOrder
from journey.stuck_search import Search
from operations.figures import Picture
from operations.letters import Letters, Look, letter_path
from operations.watch import Watch

AGES = {f"{minutes}m": timedelta(minutes=minutes) for minutes in (1, 2, 10, 60)}
USUAL_AGE = "2m"
_FRESH = timedelta(seconds=10)
_LISTED_MAX = 100


def circumstances(addresses: Mapping[str, str], picture: Picture, look: Look) -> Circumstances:
    """What we know already, as journey's explanations take it."""
    unready = {name: why for name, why in picture.unready.items() if why}
    depths = None if picture.silent_since or picture.as_of is None else picture.traffic
    return Circumstances(addresses, unready, depths, look.letters, picture.alarms, look.unread)


@dataclass(frozen=True)
class Wait:
    """One message that is awaited, where it is, and what happens next without anybody's doing, or with it."""

    awaited: Awaited
    where: Whereabouts
    letter: str  # the path of the dead letter, if it is one
    unattended: bool  # nobody consumes its queue

    @classmethod
    def of(cls, awaited: Awaited, where: Whereabouts, now: Circumstances) -> "Wait":
        letter, depth = now.letter_of(awaited), (now.depths or {}).get(awaited.queue)
        unattended = depth is not None and depth.consumers == 0
        return cls(awaited, where, letter_path(letter) if letter else "", unattended)

    @property
    def ends_by(self) -> str:
        match self.where.where:
            case Where.DEAD:
                return "Nothing by itself: look at the dead letter, mend the cause, redrive it."
            case Where.SERVICE_DOWN | Where.NOT_READY:
                return f"It goes on by itself when {self.awaited.service} is back: start it."
            case Where.PAUSED:
                return "It asks again by itself when the outside world answers."
            case Where.BLOCKED:
                return "It is published by itself when the broker has room again."
            case Where.ON_ITS_WAY if self.unattended:
                return f"Nobody takes from {self.awaited.queue}: it goes on by itself when {self.awaited.service} runs."
            case Where.ON_ITS_WAY:
                return "It is delivered, or tried again within 10 minutes, by itself."
            case Where.UNREAD:
                return "Nothing by itself, if it is a dead letter: redrive or drop the older ones, then look again."
            case Where.NOWHERE:
                return f"Nothing by itself. At a terminal: {self.where.remedy.replace('`', '')}"
            case _:
                return "Not known while the broker does not say what its queues hold."


@dataclass(frozen=True)
class WaitingOrder:
    order: StuckOrder
    waits: tuple[Wait, ...]


@dataclass(frozen=True)
class Found:
    """`orders`: the first of `count`. `partial`: why there may be more than these; empty if there are not."""

    at: datetime
    orders: tuple[WaitingOrder, ...]
    count: int
    compared: int
    is_done: bool
    partial: str


class _Looking:
    """One search, which may take a while: what it has found so far, by how long an order has waited at least."""

    def __init__(self, http: httpx.AsyncClient, now: Circumstances, at: datetime) -> None:
        self.at, self.now, self.took = at, now, timedelta(0)
        self.listed: dict[str, list[StuckOrder]] = {age: [] for age in AGES}
        self.counts = Counter[str]()
        self.failed = False
        self.search = Search(http, now, at - min(AGES.values()))
        self.task = asyncio.create_task(self._run(), name="look for stuck orders")

    async def _run(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with aclosing(self.search.found()) as found:
                async for order in found:
                    self._note(order)
        except Exception:
            self.failed = True
            telemetry.log.exception("could not look for stuck orders")
        self.took = timedelta(seconds=asyncio.get_running_loop().time() - began)

    def _note(self, order: StuckOrder) -> None:
        for age, waited in AGES.items():
            if order.since <= self.at - waited:
                self.counts[age] += 1
                if len(self.listed[age]) < _LISTED_MAX:
                    self.listed[age].append(order)


class Waiting:
    """Looks for stuck orders once for all viewers, not more often than needed, and shows what is found so far."""

    def __init__(
        self, http: httpx.AsyncClient, addresses: Mapping[str, str], watch: Watch, letters: Letters, clock: Clock
    ) -> None:
        self._http, self._addresses, self._watch, self._letters, self._clock = http, addresses, watch, letters, clock
        self._looking: _Looking | None = None
        self._beginning = asyncio.Lock()
        self._counting: asyncio.Task[None] | None = None
        self.first_s = 1.0
        self.count: int | None = None

    async def now(self) -> Circumstances:
        return circumstances(self._addresses, self._watch.picture, await self._letters.look())

    async def find(self, age: str = USUAL_AGE) -> Found:
        """Waits a moment for the search to end; if it does not, tells what it has found until now."""
        async with self._beginning:
            looking = self._looking
            if looking is None or (looking.task.done() and self._age(looking) > _fresh(looking)):
                looking = self._looking = _Looking(self._http, await self.now(), self._clock())
        await asyncio.wait([looking.task], timeout=self.first_s)
        if looking.task.done():
            self.count = None if looking.failed else looking.counts[USUAL_AGE]
        oldest = sorted(looking.listed[age], key=lambda order: order.since)
        orders = tuple(_waiting(order, looking.now, looking.at) for order in oldest)
        compared, is_done = looking.search.compared, looking.task.done()
        return Found(looking.at, orders, looking.counts[age], compared, is_done, _partial(looking))

    def count_soon(self) -> None:
        """Count again, if the last time is a while ago; nobody waits for it."""
        looking = self._looking
        is_old = looking is None or (looking.task.done() and self._age(looking) > 3 * _fresh(looking))
        if is_old and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count(), name="count stuck orders")

    async def close(self) -> None:
        tasks = [self._counting] if self._counting is not None else []
        tasks += [self._looking.task] if self._looking is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _count(self) -> None:
        try:
            while not (await self.find()).is_done:
                pass
        except Exception:
            self.count = None
            telemetry.log.exception("could not count stuck orders")

    def _age(self, looking: _Looking) -> timedelta:
        return abs(self._clock() - looking.at)  # also if the clock was set back


def _fresh(looking: _Looking) -> timedelta:
    """How long an answer is good for: what took long is not asked for again at once."""
    return max(_FRESH, 4 * looking.took)


def _partial(looking: _Looking) -> str:
    reasons = [f"{name} does not answer" for name in looking.search.silent]
    if looking.now.letters is None:
        reasons.append("the broker does not show its dead letters")
    reasons += [f"{count:,} dead letters in {queue} were not read" for queue, count in looking.now.unread.items()]
    if looking.failed:
        reasons.append("the search failed, as the log of operations tells")
    return ", and ".join(reasons)


def _waiting(order: StuckOrder, now: Circumstances, at: datetime) -> WaitingOrder:
    waits = (Wait.of(each, whereabouts(each, now, at, order.since), now) for each in order.awaited)
    return WaitingOrder(order, tuple(waits))

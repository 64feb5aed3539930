"""Orders that wait for too long: for what and for whom, since when, and what ends it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from chassis import telemetry
from chassis.handle import Clock
from journey import stuck
from journey.awaited import Awaited
from journey.circumstances import Circumstances, Where, Whereabouts, whereabouts
from journey.stuck import Accounts, StuckOrder
from operations.figures import Picture
from operations.letters import Letters, Look, letter_path
from operations.watch import Watch

AGES = {f"{minutes}m": timedelta(minutes=minutes) for minutes in (1, 2, 10, 60)}
USUAL_AGE = "2m"
_FRESH_S = 10.0
_NEVER = datetime.min.replace(tzinfo=UTC)


def circumstances(addresses: Mapping[str, str], picture: Picture, look: Look) -> Circumstances:
    """What we know already, as journey's explanations take it."""
    unready = {name: why for name, why in picture.unready.items() if why}
    depths = None if picture.silent_since or picture.as_of is None else picture.traffic
    return Circumstances(addresses, unready, depths, look.letters)


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
            case Where.ON_ITS_WAY if self.unattended:
                return f"Nobody takes from {self.awaited.queue}: it goes on by itself when {self.awaited.service} runs."
            case Where.ON_ITS_WAY:
                return "It is delivered, or tried again within 10 minutes, by itself."
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
    """`partial`: why there may be more than these; empty if there are not."""

    at: datetime
    orders: tuple[WaitingOrder, ...]
    partial: str


class Waiting:
    """Reads all that the services have handled, which is much: once for all viewers, and not more often than needed."""

    def __init__(
        self, http: httpx.AsyncClient, addresses: Mapping[str, str], watch: Watch, letters: Letters, clock: Clock
    ) -> None:
        self._http, self._addresses, self._watch, self._letters, self._clock = http, addresses, watch, letters, clock
        self._accounts = Accounts()
        self._read_at = _NEVER
        self._reading = asyncio.Lock()
        self._counting: asyncio.Task[None] | None = None
        self.count: int | None = None

    async def now(self) -> Circumstances:
        return circumstances(self._addresses, self._watch.picture, await self._letters.look())

    async def find(self, age: str = USUAL_AGE) -> Found:
        now = await self.now()
        async with self._reading:
            if (self._clock() - self._read_at).total_seconds() > _FRESH_S:
                self._accounts, self._read_at = await stuck.read(self._http, now), self._clock()
        at = self._clock()
        orders = stuck.stuck(self._accounts, now.letters or (), at - AGES[age])
        found = Found(at, tuple(_waiting(order, now, at) for order in orders), self._partial(now))
        if age == USUAL_AGE:
            self.count = len(found.orders)
        return found

    def count_soon(self) -> None:
        """Count anew, if the last time is a while ago; nobody waits for it."""
        is_old = (self._clock() - self._read_at).total_seconds() > 3 * _FRESH_S
        if is_old and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count(), name="count stuck orders")

    async def close(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)

    async def _count(self) -> None:
        try:
            await self.find()
        except Exception:
            self.count = None
            telemetry.log.exception("could not count stuck orders")

    def _partial(self, now: Circumstances) -> str:
        reasons = [f"{name} does not answer" for name in self._accounts.silent]
        if now.letters is None:
            reasons.append("the broker does not show its dead letters")
        return ", and ".join(reasons)


def _waiting(order: StuckOrder, now: Circumstances, at: datetime) -> WaitingOrder:
    waits = (Wait.of(each, whereabouts(each, now, at, order.since), now) for each in order.awaited)
    return WaitingOrder(order, tuple(waits))

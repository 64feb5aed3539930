"""The cached dead letters of the pages, read once for all viewers."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from chassis.clock import Clock
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.groups import DeadLetterGroup, group_dead_letters
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import CONSUMING_SERVICES
from operations.broker import Broker

_FRESH_S = 3.0
_NEVER = datetime.min.replace(tzinfo=UTC)
_SLOW = "the broker has not delivered them yet; refresh in a moment"


@dataclass(frozen=True)
class DeadLetterSnapshot:
    """The oldest dead letters of each dead-letter queue at one moment.

    None: unknown, and `why` says what is missing.

    `unread`: by queue, how many more are behind them.
    """

    at: datetime
    dead_letters: tuple[DeadLetter, ...] | None
    why: str = ""
    unread: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def groups(self) -> list[DeadLetterGroup]:
        """All of them: the number of dead letters that were read bounds the number of groups."""
        return group_dead_letters(self.dead_letters or (), keep=True, groups_max=None)

    @property
    def more(self) -> str:
        """The dead letters that are not shown, as text; empty if all are shown."""
        return " and ".join(f"{count:,} in {queue}" for queue, count in self.unread.items())

    def group(self, id_: str) -> DeadLetterGroup | None:
        return next((group for group in self.groups if group.id == id_), None)


class DeadLetterCache:
    """Reads dead letters once for all viewers, because reading a dead-letter queue locks its messages.

    While a redrive or drop runs, the dead letters of that service are not read: the pages show those from
    when it began.
    """

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._suspended: Counter[str] = Counter()
        self._last = DeadLetterSnapshot(_NEVER, None, "they have not been read yet")
        self._reading: asyncio.Task[None] | None = None
        self.first_s = 0.7

    async def snapshot(self, *, refresh: bool = False) -> DeadLetterSnapshot:
        """A snapshot of at most _FRESH_S, or the last one if the broker is slow.

        `refresh`: not older than this call, however long that takes.
        """
        requested_at = self._clock()
        while not self._is_fresh(requested_at, refresh=refresh):
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read(), name="look at dead letters")
            reading = self._reading
            await asyncio.wait([reading], timeout=None if refresh else self.first_s)
            if not reading.done():
                return (
                    self._last
                    if self._last.dead_letters is not None
                    else DeadLetterSnapshot(requested_at, None, _SLOW)
                )
            reading.result()
            requested_at = requested_at if refresh else self._last.at
        return self._last

    def _is_fresh(self, requested_at: datetime, *, refresh: bool) -> bool:
        age_s = (requested_at - self._last.at).total_seconds()
        return -_FRESH_S <= age_s <= (0 if refresh else _FRESH_S)  # lower than that: the clock was set back

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    @contextmanager
    def suspended(self, services: Collection[str]) -> Iterator[None]:
        """Do not read the queues of these services, so that a job can take their dead letters."""
        self._suspended.update(services)
        try:
            yield
        finally:
            self._suspended.subtract(services)
            self._last = replace(self._last, at=_NEVER)  # stale: the next call reads again

    async def _read(self) -> None:
        at = self._clock()
        quiet = [name for name in CONSUMING_SERVICES if not self._suspended[name]]
        kept = [
            dead_letter for dead_letter in self._last.dead_letters or () if dead_letter.service not in quiet
        ]
        unread = {
            queue: count for queue, count in self._last.unread.items() if queue.partition(".")[0] not in quiet
        }
        try:
            found = await self._broker.dead_letters(quiet)
            self._last = DeadLetterSnapshot(
                at, (*kept, *found.dead_letters), unread={**unread, **found.unread}
            )
        except InfrastructureUnavailable as away:
            self._last = DeadLetterSnapshot(at, None, f"{away.reason}; {away.remedy}")

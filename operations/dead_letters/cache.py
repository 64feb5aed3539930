"""The cached dead letters of the pages: read once for all viewers, in groups with stable ids.

A group is a service, an error type and a message type. The error text is not part of it, because it may
contain a number that is unique to one dead letter.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import urlencode

from chassis.clock import Clock
from chassis.messaging.identity import derived_id
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.selection import error_in_general
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import CONSUMING_SERVICES
from operations.broker import Broker

_FRESH_S = 3.0
_NEVER = datetime.min.replace(tzinfo=UTC)
_SLOW = "the broker has not delivered them yet; refresh in a moment"


@dataclass(frozen=True)
class ErrorTypeGroup:
    """Dead letters of one service, error type and message type, the oldest first."""

    service: str
    error_type: str
    type: str
    dead_letters: tuple[DeadLetter, ...]

    @property
    def id(self) -> str:
        return group_id(self.dead_letters[0])

    @property
    def first(self) -> datetime | None:
        return self.dead_letters[0].died_at

    @property
    def last(self) -> datetime | None:
        return self.dead_letters[-1].died_at

    @property
    def sample(self) -> str:
        """The error of the newest dead letter."""
        return self.dead_letters[-1].error.partition("\n")[0]

    @property
    def error_texts(self) -> int:
        """How many different error texts there are, ignoring ids and numbers."""
        return len({error_in_general(dead_letter) for dead_letter in self.dead_letters})

    @property
    def origin_queues(self) -> list[str]:
        """The queues to which a redrive sends them."""
        return sorted({dead_letter.origin_queue for dead_letter in self.dead_letters})

    @property
    def attempts(self) -> tuple[int, int]:
        """The lowest and the highest number of attempts."""
        counts = [dead_letter.attempts for dead_letter in self.dead_letters]
        return min(counts), max(counts)

    def until(self, cutoff: datetime) -> list[DeadLetter]:
        """The dead letters up to this time. One without a time counts as old."""
        return [
            dead_letter
            for dead_letter in self.dead_letters
            if dead_letter.died_at is None or dead_letter.died_at <= cutoff
        ]


def group_id(dead_letter: DeadLetter) -> str:
    """The same for all dead letters of a group, as long as the group exists."""
    return derived_id("dead letters", dead_letter.service, dead_letter.error_type, dead_letter.type)[:13]


def dead_letter_path(dead_letter: DeadLetter) -> str:
    """The page of one dead letter. The sender of the message chose its id, so it may be any text."""
    return f"/ops/dead-letters/{group_id(dead_letter)}/letter?{urlencode({'id': dead_letter.id})}"


def group_dead_letters(dead_letters: Iterable[DeadLetter]) -> list[ErrorTypeGroup]:
    """The largest group first."""
    found: dict[tuple[str, str, str], list[DeadLetter]] = {}
    for dead_letter in sorted(dead_letters, key=lambda dead_letter: dead_letter.died_at or _NEVER):
        found.setdefault((dead_letter.service, dead_letter.error_type, dead_letter.type), []).append(
            dead_letter
        )
    groups = [ErrorTypeGroup(*key, tuple(members)) for key, members in found.items()]
    return sorted(groups, key=lambda group: (-len(group.dead_letters), group.service, group.type))


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
    def groups(self) -> list[ErrorTypeGroup]:
        return group_dead_letters(self.dead_letters or ())

    @property
    def more(self) -> str:
        """The dead letters that are not shown, as text; empty if all are shown."""
        return " and ".join(f"{count:,} in {queue}" for queue, count in self.unread.items())

    def group(self, id_: str) -> ErrorTypeGroup | None:
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
            self._last = DeadLetterSnapshot(at, (*kept, *found.letters), unread={**unread, **found.unread})
        except InfrastructureUnavailable as away:
            self._last = DeadLetterSnapshot(at, None, f"{away.reason}; {away.remedy}")

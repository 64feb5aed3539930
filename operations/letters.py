"""The dead letters as the pages show them: looked at once for all viewers, in groups that stay the same.

A group is a service, an error's type and a message's type. The words of an error do not count: they may name a number
that no other letter names.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import urlencode

from chassis.handle import Clock
from contracts.identity import derived_id
from journey.dead_letters import DeadLetter
from journey.infra.model import InfrastructureUnavailable
from journey.redrive import error_in_general
from journey.services import HEARERS
from operations.broker import Broker

_FRESH_S = 3.0
_NEVER = datetime.min.replace(tzinfo=UTC)
_SLOW = "the broker has not given them yet; look again in a moment"


@dataclass(frozen=True)
class Group:
    """Letters of one service, error type and message type, the oldest first."""

    service: str
    error_type: str
    type: str
    letters: tuple[DeadLetter, ...]

    @property
    def id(self) -> str:
        return group_id(self.letters[0])

    @property
    def first(self) -> datetime | None:
        return self.letters[0].died_at

    @property
    def last(self) -> datetime | None:
        return self.letters[-1].died_at

    @property
    def sample(self) -> str:
        """What the newest of them died of."""
        return self.letters[-1].error.partition("\n")[0]

    @property
    def wordings(self) -> int:
        """How many different errors these are, ids and numbers aside."""
        return len({error_in_general(letter) for letter in self.letters})

    @property
    def origin_queues(self) -> list[str]:
        """Where they would go back to."""
        return sorted({letter.origin_queue for letter in self.letters})

    @property
    def attempts(self) -> tuple[int, int]:
        """The fewest and the most tries."""
        counts = [letter.attempts for letter in self.letters]
        return min(counts), max(counts)

    def until(self, cutoff: datetime) -> list[DeadLetter]:
        """Those that had died by then. One without a time is not new."""
        return [letter for letter in self.letters if letter.died_at is None or letter.died_at <= cutoff]


def group_id(letter: DeadLetter) -> str:
    """The same for all letters of a group, as long as there are any."""
    return derived_id("dead letters", letter.service, letter.error_type, letter.type)[:13]


def letter_path(letter: DeadLetter) -> str:
    """The page about one letter. Its id may be anything: whoever sent the message chose it."""
    return f"/ops/dead-letters/{group_id(letter)}/letter?{urlencode({'id': letter.id})}"


def grouped(letters: Iterable[DeadLetter]) -> list[Group]:
    """The largest first."""
    found: dict[tuple[str, str, str], list[DeadLetter]] = {}
    for letter in sorted(letters, key=lambda letter: letter.died_at or _NEVER):
        found.setdefault((letter.service, letter.error_type, letter.type), []).append(letter)
    groups = [Group(*key, tuple(members)) for key, members in found.items()]
    return sorted(groups, key=lambda group: (-len(group.letters), group.service, group.type))


@dataclass(frozen=True)
class Look:
    """The oldest letters in each dead queue at a moment. None: the broker did not say; `why` tells what it takes.

    `unread`: by queue, how many more lie behind them.
    """

    at: datetime
    letters: tuple[DeadLetter, ...] | None
    why: str = ""
    unread: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def groups(self) -> list[Group]:
        return grouped(self.letters or ())

    @property
    def more(self) -> str:
        """Which letters are not shown, in words; empty if all are."""
        return " and ".join(f"{count:,} in {queue}" for queue, count in self.unread.items())

    def group(self, id_: str) -> Group | None:
        return next((group for group in self.groups if group.id == id_), None)


class Letters:
    """Whoever looks at dead letters holds them meanwhile. So one looks for all, and not where letters are on the move.

    Of a service whose letters are just being redriven or dropped, those are shown that were there when that began.
    """

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker, self._clock = broker, clock
        self._busy: Counter[str] = Counter()
        self._last = Look(_NEVER, None, "nobody has looked yet")
        self._reading: asyncio.Task[None] | None = None
        self.first_s = 0.7

    async def look(self, *, anew: bool = False) -> Look:
        """At most a few seconds old, or what was known last if the broker is slow; `anew`: not older than the question,
        however long that takes."""
        asked_at = self._clock()
        while not self._is_fresh(asked_at, anew=anew):
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read(), name="look at dead letters")
            reading = self._reading
            await asyncio.wait([reading], timeout=None if anew else self.first_s)
            if not reading.done():
                return self._last if self._last.letters is not None else Look(asked_at, None, _SLOW)
            reading.result()
            asked_at = asked_at if anew else self._last.at
        return self._last

    def _is_fresh(self, asked_at: datetime, *, anew: bool) -> bool:
        age_s = (asked_at - self._last.at).total_seconds()
        return -_FRESH_S <= age_s <= (0 if anew else _FRESH_S)  # negative by more: the clock was set back

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    @contextmanager
    def on_the_move(self, services: Collection[str]) -> Iterator[None]:
        """While the letters of these services are taken from their queues, nobody else takes them to look at them."""
        self._busy.update(services)
        try:
            yield
        finally:
            self._busy.subtract(services)
            self._last = replace(self._last, at=_NEVER)  # old: whoever asks next looks anew

    async def _read(self) -> None:
        at = self._clock()
        quiet = [name for name in HEARERS if not self._busy[name]]
        kept = [letter for letter in self._last.letters or () if letter.service not in quiet]
        unread = {queue: count for queue, count in self._last.unread.items() if queue.partition(".")[0] not in quiet}
        try:
            found = await self._broker.letters(quiet)
            self._last = Look(at, (*kept, *found.letters), unread={**unread, **found.unread})
        except InfrastructureUnavailable as away:
            self._last = Look(at, None, f"{away.reason}; {away.remedy}")

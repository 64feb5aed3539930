"""The dead letters as the pages show them: looked at once for all viewers, in groups that stay the same.

A group is a service, an error's type and a message's type. The words of an error do not count: they may name a number
that no other letter names.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """What lay in the dead queues at a moment. None: the broker did not say; `why` tells what it takes."""

    at: datetime
    letters: tuple[DeadLetter, ...] | None
    why: str = ""

    @cached_property
    def groups(self) -> list[Group]:
        return grouped(self.letters or ())

    def group(self, id_: str) -> Group | None:
        return next((group for group in self.groups if group.id == id_), None)


class Letters:
    """Whoever looks at dead letters holds them meanwhile. So one looks for all, and not where letters are on the move.

    Of a service whose letters are just being redriven or dropped, those are shown that were there when that began.
    """

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker, self._clock = broker, clock
        self._looking = asyncio.Lock()
        self._busy: Counter[str] = Counter()
        self._last = Look(_NEVER, None, "nobody has looked yet")

    async def look(self, *, anew: bool = False) -> Look:
        """At most a few seconds old; `anew`: not older than the question."""
        asked_at = self._clock()
        async with self._looking:
            age_s = ((asked_at if anew else self._clock()) - self._last.at).total_seconds()
            if age_s > (0 if anew else _FRESH_S) or age_s < -_FRESH_S:  # the clock was set back
                self._last = await self._read()
            return self._last

    @contextmanager
    def on_the_move(self, services: Collection[str]) -> Iterator[None]:
        """While the letters of these services are taken from their queues, nobody else takes them to look at them."""
        self._busy.update(services)
        try:
            yield
        finally:
            self._busy.subtract(services)
            self._last = Look(_NEVER, self._last.letters, self._last.why)  # old: whoever asks next looks anew

    async def _read(self) -> Look:
        at = self._clock()
        quiet = [name for name in HEARERS if not self._busy[name]]
        kept = [letter for letter in self._last.letters or () if letter.service not in quiet]
        try:
            return Look(at, (*kept, *await self._broker.letters(quiet)))
        except InfrastructureUnavailable as away:
            return Look(at, None, f"{away.reason}; {away.remedy}")

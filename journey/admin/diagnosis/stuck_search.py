"""`journey stuck`: finds all orders that have been waiting for too long.

Each service has an index of its open and its recently changed orders. Only these are read, a few at a time,
and results are yielded at once. First pages and batches are small, and only the oldest dead letters of each
queue are read first, so the first result comes quickly. `everything` also reads the whole history.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from chassis.messaging.envelope import Malformed
from chassis.messaging.envelope import read as read_body
from contracts.catalog import CATALOG
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.diagnosis import snapshot
from journey.admin.diagnosis.handled_messages import Reader
from journey.admin.diagnosis.pending_messages import KEPT
from journey.admin.diagnosis.snapshot import NO_RESPONSE, ShopSnapshot
from journey.admin.diagnosis.stuck import HandledSnapshot, StuckOrder, stuck
from journey.admin.diagnosis.stuck_dead_letters import DeadLetterStream, StuckDeadLetters
from journey.admin.endpoints import ShopEndpoints
from journey.admin.paging import batched
from journey.admin.ssl_context import tls

Json = dict[str, Any]
# An order at rest is checked if it changed within this time before the `before` limit: a message lost on its
# way to an aggregate at rest shows nowhere else.
RECENT = timedelta(hours=1)
LISTED_MAX = 1_000
_AT_ONCE = 100
_REMEMBERED = 100_000
_RESPONSE_S_MAX = 20.0


@dataclass(frozen=True)
class StuckResult:
    """`stuck`: the first ones; `count`: all of them. `partial`: a service or the broker did not respond.

    `since`: orders at rest whose last change is older were not checked; None if all were.
    """

    at: datetime
    stuck: Sequence[StuckOrder]
    count: int
    compared: int
    since: datetime | None
    silent: Sequence[str]
    snapshot: ShopSnapshot

    @property
    def partial(self) -> bool:
        return bool(self.silent) or self.snapshot.dead_letters is None

    def as_json(self) -> Json:
        return {
            "stuck": [order.as_json() for order in self.stuck],
            "count": self.count,
            "at_rest_compared_since": self.since and self.since.isoformat(),
            "not_ready": dict(self.snapshot.unready),
            "for_update": dict(self.snapshot.for_update),
            "partial": self.partial,
        }


class Search:
    """Looks for stuck orders.

    `compared`: subjects checked so far; `silent`: services that did not respond.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        now: ShopSnapshot,
        before: datetime,
        *,
        everything: bool = False,
        other_dead_letters: Callable[[], DeadLetterStream] | None = None,
        on_progress: Callable[["Search"], None] = lambda search: None,
    ) -> None:
        """`other_letters`: dead letters that `now` does not contain, read after the first results."""
        away = [service for service in KEPT if now.unready.get(service) == NO_RESPONSE]
        self._reader = Reader(http, now.addresses, away)
        self._dead_letters_found = now.dead_letters or ()
        self._before = before
        self._everything = everything
        self._other_dead_letters = other_dead_letters
        self.since = None if everything else before - RECENT
        self.compared = 0
        self._on_progress = on_progress

    @property
    def silent(self) -> list[str]:
        return list(self._reader.silent)

    async def found(self) -> AsyncGenerator[StuckOrder, None]:
        """Yields each once: with the first dead letters, open, with other dead letters, the rest."""
        reported, listed = _Remembered(), _Remembered()
        parts = [self._dead(_given(self._dead_letters_found), reported), self._compared(self._open(reported))]
        if self._other_dead_letters is not None:
            parts.append(self._dead(self._other_dead_letters(), reported))
        parts.append(
            self._compared(self._everywhere(reported) if self._everything else self._recent(reported))
        )
        for part in parts:
            async with aclosing(part) as orders:
                async for order in orders:
                    if order.order_id not in listed:
                        listed.add(order.order_id)
                        yield order

    async def _dead(
        self, dead_letters: DeadLetterStream, reported: "_Remembered"
    ) -> AsyncGenerator[StuckOrder, None]:
        """The orders with these dead letters. Adds all their subjects to `reported`."""
        async with aclosing(batched(dead_letters, _AT_ONCE)) as batches:
            async for batch in batches:
                names = {name for dead_letter in batch for name in _subjects(dead_letter)}
                for name in names:
                    reported.add(name)
                for order in self._compare(await self._about(names), batch):
                    yield order

    async def _compared(
        self, some: AsyncGenerator[HandledSnapshot, None]
    ) -> AsyncGenerator[StuckOrder, None]:
        async with aclosing(some) as records:
            async for each in records:
                for order in self._compare(each, ()):
                    yield order

    def _compare(self, records: HandledSnapshot, dead_letters: Sequence[DeadLetter]) -> list[StuckOrder]:
        self.compared += len(records.subjects)
        self._on_progress(self)
        return stuck(records, dead_letters, self._before)

    async def _everywhere(self, but: "_Remembered") -> AsyncGenerator[HandledSnapshot, None]:
        """All except the open ones: these were found before, or are too new."""
        records = HandledSnapshot()
        async with aclosing(self._reader.all()) as subjects:
            async for subject, items in subjects:
                if subject not in but:
                    records.enter(items)
                if len(records.subjects) >= _AT_ONCE:
                    yield self._at_rest(records)
                    records = HandledSnapshot()
        yield self._at_rest(records)

    async def _open(self, but: "_Remembered") -> AsyncGenerator[HandledSnapshot, None]:
        async with aclosing(_batches(self._reader.open(), but)) as batches:
            async for names in batches:
                yield await self._about(names)

    async def _recent(self, but: "_Remembered") -> AsyncGenerator[HandledSnapshot, None]:
        assert self.since is not None
        async with aclosing(_batches(self._reader.changed(self.since), but)) as batches:
            async for names in batches:
                yield self._at_rest(await self._about(names))

    def _at_rest(self, records: HandledSnapshot) -> HandledSnapshot:
        records.leave_out(records.open)
        return self._complete(records)

    async def _about(self, subjects: Collection[str]) -> HandledSnapshot:
        records = HandledSnapshot()
        if subjects:
            records.enter(await self._reader.about(subjects))
        return self._complete(records)

    def _complete(self, records: HandledSnapshot) -> HandledSnapshot:
        """Drop partial results of a service that failed midway: they would look like unhandled messages."""
        records.handled = {service: records.handled.get(service, set()) for service, _ in self._reader.kinds}
        return records


async def find(
    endpoints: ShopEndpoints,
    older_than: timedelta,
    *,
    everything: bool = False,
    listed_max: int = LISTED_MAX,
    on_found: Callable[[StuckOrder], None] = lambda order: None,
    on_progress: Callable[[Search], None] = lambda search: None,
) -> StuckResult:
    """`on_found` is called with each order to list, as soon as it is found."""
    counting = asyncio.create_task(snapshot.counted(endpoints))
    dead_letters = StuckDeadLetters(endpoints)
    try:
        async with httpx.AsyncClient(timeout=_RESPONSE_S_MAX, verify=tls()) as http:
            now, first = await asyncio.gather(snapshot.readiness(endpoints, http), dead_letters.first())
            now, at = replace(now, dead_letters=first), datetime.now(UTC)
            search = Search(
                http,
                now,
                at - older_than,
                everything=everything,
                other_dead_letters=dead_letters.others,
                on_progress=on_progress,
            )
            listed: list[StuckOrder] = []
            count = 0
            async with aclosing(search.found()) as found:
                async for order in found:
                    count += 1
                    if count <= listed_max:
                        listed.append(order)
                        on_found(order)
        queues = await counting
    finally:
        await dead_letters.close()
        counting.cancel()
    now = replace(now.with_queues(queues), dead_letters=None if dead_letters.silent else first)
    listed.sort(key=lambda order: order.since)
    return StuckResult(at, listed, count, search.compared, search.since, search.silent, now)


class _Remembered:
    """A set of the latest names, in bounded memory."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > _REMEMBERED:
            self._names.popitem(last=False)


async def _given(dead_letters: Sequence[DeadLetter]) -> DeadLetterStream:
    for dead_letter in dead_letters:
        yield dead_letter


def _batches(subjects: AsyncGenerator[str, None], but: _Remembered) -> AsyncGenerator[list[str], None]:
    """Batches of the size of one request."""
    return batched(_new(subjects, but), _AT_ONCE)


async def _new(subjects: AsyncGenerator[str, None], but: _Remembered) -> AsyncGenerator[str, None]:
    """Without those found already, and without repetitions among the latest `_REMEMBERED`."""
    seen = _Remembered()
    async with aclosing(subjects) as each:
        async for subject in each:
            if subject not in seen and subject not in but:
                seen.add(subject)
                yield subject


def _subjects(dead_letter: DeadLetter) -> set[str]:
    """The subjects that a dead letter may have; a client may set any journey id and no subject."""
    named = {dead_letter.subject or dead_letter.journey_id, dead_letter.journey_id}
    contract = CATALOG.get(dead_letter.type)
    try:
        return named | ({read_body(contract, dead_letter.wire_message.body).subject} if contract else set())
    except Malformed:
        return named

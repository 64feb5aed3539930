"""`journey stuck`: looks for every order that has been waiting for too long.

An index of each service knows what is open, and what has changed lately. Only that is read, a few orders at a time, and
what is found is given at once. `everything` also reads the history.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from contracts.envelope import Malformed
from contracts.envelope import read as read_body
from contracts.message import REGISTRY
from journey import circumstances
from journey.awaited import KEPT
from journey.circumstances import NO_ANSWER, Circumstances
from journey.dead_letters import DeadLetter
from journey.handled import Reader
from journey.paging import batched
from journey.place import Place
from journey.stuck import Accounts, StuckOrder, stuck
from journey.tls import tls

Json = dict[str, Any]
# An order at rest is compared if it has changed in this time before it counts as waiting for too long: what is lost on
# its way to an aggregate at rest shows nowhere else.
RECENT = timedelta(hours=1)
LISTED_MAX = 1_000
_AT_ONCE = 100
_REMEMBERED = 20_000
_ANSWER_S_MAX = 20.0


@dataclass(frozen=True)
class Findings:
    """`stuck`: the first ones; `count`: how many there are in all. `partial`: somebody did not answer: perhaps more.

    `since`: orders at rest that last changed before were not compared; None if all were.
    """

    at: datetime
    stuck: Sequence[StuckOrder]
    count: int
    compared: int
    since: datetime | None
    silent: Sequence[str]
    circumstances: Circumstances

    @property
    def partial(self) -> bool:
        return bool(self.silent) or self.circumstances.letters is None

    def as_json(self) -> Json:
        return {
            "stuck": [order.as_json() for order in self.stuck],
            "count": self.count,
            "at_rest_compared_since": self.since and self.since.isoformat(),
            "not_ready": dict(self.circumstances.unready),
            "partial": self.partial,
        }


class Search:
    """Looks for stuck orders. `compared` tells how far it is, `silent` who did not answer."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        now: Circumstances,
        before: datetime,
        *,
        everything: bool = False,
        on_progress: Callable[["Search"], None] = lambda search: None,
    ) -> None:
        away = [service for service in KEPT if now.unready.get(service) == NO_ANSWER]
        self._reader = Reader(http, now.addresses, away)
        self._letters, self._before, self._everything = now.letters or (), before, everything
        self.since = None if everything else before - RECENT
        self.compared = 0
        self._on_progress = on_progress

    @property
    def silent(self) -> list[str]:
        return list(self._reader.silent)

    async def found(self) -> AsyncGenerator[StuckOrder, None]:
        """Each once: first those with dead letters, then those that are open, then those at rest."""
        dead = {letter.id: _subjects(letter) for letter in self._letters}
        for start in range(0, len(self._letters), _AT_ONCE):
            letters = self._letters[start : start + _AT_ONCE]
            names = {name for letter in letters for name in dead[letter.id]}
            for order in self._compare(await self._about(names), letters):
                yield order
        told = {name for names in dead.values() for name in names}
        async with aclosing(self._everywhere(told) if self._everything else self._open_and_recent(told)) as accounts:
            async for each in accounts:
                for order in self._compare(each, ()):
                    yield order

    def _compare(self, accounts: Accounts, letters: Sequence[DeadLetter]) -> list[StuckOrder]:
        self.compared += len(accounts.subjects)
        self._on_progress(self)
        return stuck(accounts, letters, self._before)

    async def _everywhere(self, but: Collection[str]) -> AsyncGenerator[Accounts, None]:
        accounts = Accounts()
        async with aclosing(self._reader.all()) as subjects:
            async for subject, items in subjects:
                if subject not in but:
                    accounts.enter(items)
                if len(accounts.subjects) >= _AT_ONCE:
                    yield self._complete(accounts)
                    accounts = Accounts()
        yield self._complete(accounts)

    async def _open_and_recent(self, but: Collection[str]) -> AsyncGenerator[Accounts, None]:
        async with aclosing(_batches(self._reader.open(), but)) as batches:
            async for names in batches:
                yield await self._about(names)
        assert self.since is not None
        async with aclosing(_batches(self._reader.changed(self.since), but)) as batches:
            async for names in batches:
                accounts = await self._about(names)
                accounts.leave_out(accounts.open)  # they were found before, or are too new
                yield accounts

    async def _about(self, subjects: Collection[str]) -> Accounts:
        accounts = Accounts()
        if subjects:
            accounts.enter(await self._reader.about(subjects))
        return self._complete(accounts)

    def _complete(self, accounts: Accounts) -> Accounts:
        """Half an answer of a service counts as none: it would look like work undone."""
        accounts.handled = {service: accounts.handled.get(service, set()) for service, _ in self._reader.kinds}
        return accounts


async def find(
    place: Place,
    older_than: timedelta,
    *,
    everything: bool = False,
    listed_max: int = LISTED_MAX,
    on_found: Callable[[StuckOrder], None] = lambda order: None,
    on_progress: Callable[[Search], None] = lambda search: None,
) -> Findings:
    """`on_found` is told of each that will be listed as soon as it is found."""
    async with httpx.AsyncClient(timeout=_ANSWER_S_MAX, verify=tls()) as http:
        now = await circumstances.look(place, http)
        at = datetime.now(UTC)
        search = Search(http, now, at - older_than, everything=everything, on_progress=on_progress)
        listed: list[StuckOrder] = []
        count = 0
        async with aclosing(search.found()) as found:
            async for order in found:
                count += 1
                if count <= listed_max:
                    listed.append(order)
                    on_found(order)
    listed.sort(key=lambda order: order.since)
    return Findings(at, listed, count, search.compared, search.since, search.silent, now)


def _batches(subjects: AsyncGenerator[str, None], but: Collection[str]) -> AsyncGenerator[list[str], None]:
    """As many as one request asks for."""
    return batched(_new(subjects, but), _AT_ONCE)


async def _new(subjects: AsyncGenerator[str, None], but: Collection[str]) -> AsyncGenerator[str, None]:
    """Without those that were found already, and none twice in a row of thousands."""
    seen: OrderedDict[str, None] = OrderedDict()
    async with aclosing(subjects) as each:
        async for subject in each:
            if subject not in seen and subject not in but:
                seen[subject] = None
                if len(seen) > _REMEMBERED:
                    seen.popitem(last=False)
                yield subject


def _subjects(letter: DeadLetter) -> set[str]:
    """What a dead letter may be about: a client may have named its journey otherwise, and given no subject."""
    named = {str(letter.parcel.headers.get("subject") or letter.journey_id), letter.journey_id}
    contract = REGISTRY.get(letter.type)
    try:
        return named | ({read_body(contract, letter.parcel.body).subject} if contract else set())
    except Malformed:
        return named

"""The bus and the store in memory: for tests, the simulation, and a demo where nothing can be installed.

They keep the promises that the conformance suite states, and no others.
"""

import asyncio
import pickle
import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain, count, islice
from typing import Any

from chassis.bus import BusUnavailable, Delivery, QueueMissing, Receive, Unroutable
from chassis.copies import routing_keys
from chassis.retry import DEAD, LADDER_MS
from chassis.store import Change, Handled, Loaded, StoreUnavailable, Where
from chassis.topology import Topology
from contracts.envelope import Envelope, Parcel


class MemoryBroker:
    """Exchanges, queues, rights and retry ladder of one virtual host. `delay_scale` shortens the ladder in tests.

    There are no logins: a user whom the topology does not name may publish anything.
    """

    def __init__(self, topology: Topology, delay_scale: float = 1.0) -> None:
        self._topology, self._delay_scale = topology, delay_scale
        self._users = {user.name: user for user in topology.users}
        self._away = False
        self.queues: dict[str, deque[Parcel]] = {queue.name: deque() for queue in topology.queues}
        self.subscriptions: dict[str, list[MemorySubscription]] = {name: [] for name in self.queues}
        self.tapped: list[Parcel] = []

    @property
    def away(self) -> bool:
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        self.cut()

    def cut(self) -> None:
        """Every connection is lost at once: what was held goes back, and late acknowledgements count for nothing."""
        for subscription in chain.from_iterable(map(list, self.subscriptions.values())):
            subscription.lose()

    def route(self, parcel: Parcel) -> Exception | None:
        if self.away:
            return BusUnavailable("the broker is away")
        if not self._may(parcel):
            return Unroutable(f"{parcel.user_id} may not publish {parcel.routing_key!r} to {parcel.exchange!r}")
        self.tapped.append(parcel)
        keys, parcel = routing_keys(parcel)
        if parcel.exchange in LADDER_MS:
            after_s, back = LADDER_MS[parcel.exchange] / 1000 * self._delay_scale, replace(parcel, exchange="")
            for key in keys:
                asyncio.get_running_loop().call_later(after_s, self._arrive, key, back)
            return None
        bound = dict.fromkeys(queue for key in keys for queue in self._topology.bound(parcel.exchange, key))
        queues = [queue for queue in bound if queue in self.queues]
        for queue in queues:
            self._arrive(queue, parcel)
        return None if queues else Unroutable(f"no queue takes {parcel.routing_key!r} from {parcel.exchange!r}")

    def _may(self, parcel: Parcel) -> bool:
        if (user := self._users.get(parcel.user_id or "")) is None:
            return True
        topics = user.topics.get(parcel.exchange, "")
        return bool(re.search(user.write, parcel.exchange) and re.search(topics, parcel.routing_key))

    def _arrive(self, queue: str, parcel: Parcel) -> None:
        if queue in self.queues:
            self.queues[queue].append(parcel)
            self.pump(queue)

    def give_back(self, queue: str, parcels: Sequence[Parcel]) -> None:
        if queue in self.queues:
            self.queues[queue].extendleft(reversed(parcels))
            self.pump(queue)

    def pump(self, queue: str) -> None:
        """Hand waiting messages to consumers in turn, each up to its prefetch."""
        waiting, consumers = self.queues.get(queue), self.subscriptions[queue]
        while waiting and not self.away and (able := [each for each in consumers if each.able]):
            consumers.remove(able[0])
            consumers.append(able[0])
            able[0].take(waiting.popleft())

    def dead(self, service: str) -> list[Parcel]:
        return list(self.queues[f"{service}.{DEAD}"])


class MemoryBus:
    """See chassis.bus.Bus; one service's connection to a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, user: str) -> None:
        self.broker, self._user = broker, user
        self._subscriptions: list[MemorySubscription] = []

    @property
    def ready(self) -> bool:
        return not self.broker.away and all(s.alive for s in self._subscriptions)

    async def start(self) -> None:
        if self.broker.away:
            raise BusUnavailable("the broker is away")

    async def stop(self) -> None:
        """Like a closed connection: whatever is not acknowledged goes back."""
        while self._subscriptions:
            self._subscriptions.pop().stop()

    async def publish(self, parcels: Sequence[Parcel]) -> list[Exception | None]:
        await asyncio.sleep(0)
        return [self.broker.route(replace(parcel, user_id=self._user)) for parcel in parcels]

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> "MemorySubscription":
        await self.start()
        if queue not in self.broker.queues:
            raise QueueMissing(f"queue {queue!r} does not exist; apply the topology")
        subscription = MemorySubscription(self.broker, queue, prefetch, receive)
        self._subscriptions.append(subscription)
        return subscription


class MemorySubscription:
    """See chassis.bus.Subscription."""

    def __init__(self, broker: MemoryBroker, queue: str, prefetch: int, receive: Receive) -> None:
        self._broker, self._queue, self._prefetch, self._receive = broker, queue, prefetch, receive
        self._held: dict[int, Parcel] = {}
        self._numbers = count()
        self._paused = False
        broker.subscriptions[queue].append(self)
        broker.pump(queue)

    @property
    def alive(self) -> bool:
        return self._paused or (not self._broker.away and self._queue in self._broker.queues)

    @property
    def able(self) -> bool:
        return not self._paused and len(self._held) < self._prefetch

    async def pause(self) -> None:
        self._paused = True

    async def resume(self) -> None:
        self._paused = False
        self._broker.pump(self._queue)

    def stop(self) -> None:
        self._broker.subscriptions[self._queue].remove(self)
        self.lose()

    def lose(self) -> None:
        """The connection is lost: what is held goes back to where it was taken from."""
        held = list(self._held.values())
        self._held.clear()
        self._broker.give_back(self._queue, held)

    def take(self, parcel: Parcel) -> None:
        number = next(self._numbers)
        self._held[number] = parcel
        delivery = Delivery(parcel, self._queue, partial(self._settle, number))
        asyncio.get_running_loop().call_soon(self._receive, delivery)

    async def _settle(self, number: int, done: bool) -> None:
        if parcel := self._held.pop(number, None):
            self._broker.give_back(self._queue, [] if done else [parcel])


@dataclass(frozen=True)
class _Document:
    loaded: Loaded
    journey: str
    handled: tuple[Handled, ...]
    unpublished_since: datetime | None

    def read(self) -> Loaded:
        """A copy, as from a database."""
        unpublished = self.unpublished_since is not None
        return replace(self.loaded, state=pickle.loads(pickle.dumps(self.loaded.state)), unpublished=unpublished)


class MemoryStore:
    """See chassis.store.Store. `away` makes every call fail."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, _Document]] = {}
        self.away = False

    async def start(self, kinds: Mapping[str, Collection[str]]) -> None:
        await self.ping()

    async def stop(self) -> None: ...

    async def ping(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("the store is away")

    async def _documents(self, kind: str) -> dict[str, _Document]:
        await self.ping()
        return self._kinds.setdefault(kind, {})

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        documents = await self._documents(kind)
        return {key: documents[key].read() if key in documents else Loaded(kind, key) for key in keys}

    async def said(self, kind: str, wanted: Mapping[str, Collection[str]]) -> dict[str, tuple[Envelope, ...]]:
        documents = await self._documents(kind)
        known = (
            (ids, handled) for key, ids in wanted.items() if key in documents for handled in documents[key].handled
        )
        return {handled.message_id: handled.says for ids, handled in known if handled.message_id in ids}

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        await self.ping()
        current = [change for change in changes if self._version(change.loaded) == change.loaded.version]
        if len(current) == len(changes) or not together:
            for change in current:
                self._write(change)
        return len(current) == len(changes)

    def _version(self, loaded: Loaded) -> int:
        document = self._kinds.setdefault(loaded.kind, {}).get(loaded.key)
        return document.loaded.version if document else 0

    def _write(self, change: Change) -> None:
        kind, key = change.loaded.kind, change.loaded.key
        before = self._kinds[kind].get(key) or _Document(change.loaded, change.journey, (), None)
        handled = (*before.handled, *change.handled)
        kept = handled if change.handled_max is None else handled[-change.handled_max :]
        ids = frozenset(each.message_id for each in kept)
        state = pickle.loads(pickle.dumps(change.state))
        at = change.changed_at or before.loaded.changed_at
        loaded = Loaded(kind, key, change.loaded.version + 1, state, ids, change.deadline_at, changed_at=at)
        since = change.handled[-1].at if change.unpublished else before.unpublished_since
        self._kinds[kind][key] = _Document(loaded, before.journey, kept, since)

    async def due(self, kind: str, now: datetime, limit: int) -> dict[str, datetime]:
        documents = await self._documents(kind)
        waiting = [(each.loaded.deadline_at, key) for key, each in documents.items() if each.loaded.deadline_at]
        return {key: at for at, key in sorted(waiting)[:limit] if at <= now}

    async def unpublished(self, kind: str, older_than: datetime, limit: int) -> list[tuple[Loaded, list[Envelope]]]:
        documents = (await self._documents(kind)).values()
        marked = [each for each in documents if each.unpublished_since and each.unpublished_since <= older_than]
        return [(each.read(), [said for handled in each.handled for said in handled.says]) for each in marked[:limit]]

    async def published(self, kind: str, key: str, version: int) -> None:
        documents = await self._documents(kind)
        if key in documents and documents[key].loaded.version == version:
            documents[key] = replace(documents[key], unpublished_since=None)

    async def find(
        self, kind: str, where: Where | None = None, *, after: str = "", limit: int = 20, newest_first: bool = False
    ) -> list[Loaded]:
        in_order = sorted((await self._documents(kind)).items(), key=lambda item: item[0], reverse=newest_first)
        page = (each for key, each in in_order if not after or (key < after if newest_first else key > after))
        found = (each for each in page if all(_holds(each.loaded.state, *item) for item in (where or {}).items()))
        return [document.read() for document in islice(found, limit)]

    async def changed(self, kind: str, since: datetime, *, after: str = "", limit: int = 20) -> list[Loaded]:
        documents = await self._documents(kind)
        dated = sorted((each.loaded.changed_at, key) for key, each in documents.items() if each.loaded.changed_at)
        return [documents[key].read() for at, key in dated if (at, key) > (since, after)][:limit]

    async def about(self, kind: str, subjects: Collection[str]) -> list[Loaded]:
        wanted, documents = set(subjects), await self._documents(kind)
        named = (key for key in sorted(documents) if any(name in wanted for name in _names(key)))
        return [documents[key].read() for key in named]

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        documents = (await self._documents(kind)).values()
        return [(document.read(), list(document.handled)) for document in documents if document.journey == journey]


def _names(key: str) -> list[str]:
    """The key, and whatever of it stands before a colon."""
    parts = key.split(":")
    return [":".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _holds(state: Any, path: str, value: Any) -> bool:
    for step in path.split("."):
        state = state.get(step) if isinstance(state, Mapping) else None
    if isinstance(value, frozenset):
        return state in value
    if isinstance(value, list):
        return isinstance(state, list) and bool(value) and all(item in state for item in value)
    return bool(state == value or (isinstance(state, list) and value in state))

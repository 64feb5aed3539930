"""The bus and the store in memory: for tests, the simulation, and a demo where nothing can be installed.

They keep the promises that the conformance suite states, and no others; everything is serialised on the way,
so that nothing is shared by accident.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chassis.bus import BusUnavailable, QueueMissing, Receive, Unroutable
from chassis.retry import DEAD, LADDER_MS
from chassis.store import Change, Handled, Loaded, StoreUnavailable
from chassis.topology import Topology, matches
from contracts.envelope import Envelope, Parcel


@dataclass
class MemoryBroker:
    """Exchanges, queues and retry ladder of one virtual host. `delay_scale` shortens the ladder in tests."""

    topology: Topology
    delay_scale: float = 1.0
    away: bool = False
    queues: dict[str, deque[Parcel]] = field(init=False)
    subscriptions: dict[str, list["MemorySubscription"]] = field(init=False)
    tapped: list[Parcel] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queues = {queue.name: deque() for queue in self.topology.queues}
        self.subscriptions = {name: [] for name in self.queues}

    def route(self, parcel: Parcel) -> Exception | None:
        if self.away:
            return BusUnavailable("the broker is away")
        self.tapped.append(parcel)
        if parcel.exchange in LADDER_MS:
            delay_s = LADDER_MS[parcel.exchange] / 1000 * self.delay_scale
            asyncio.get_running_loop().call_later(delay_s, self._arrive, parcel.routing_key, parcel)
            return None
        queues = {
            binding.queue
            for binding in self.topology.bindings
            if binding.exchange == parcel.exchange and matches(binding.key, parcel.routing_key)
        } & self.queues.keys()
        for queue in queues:
            self._arrive(queue, parcel)
        return None if queues else Unroutable(f"no queue takes {parcel.routing_key!r} from {parcel.exchange!r}")

    def _arrive(self, queue: str, parcel: Parcel) -> None:
        if queue in self.queues:
            self.queues[queue].append(parcel)
            self.pump(queue)

    def pump(self, queue: str) -> None:
        """Hand waiting messages to consumers in turn, each up to its prefetch."""
        waiting, consumers = self.queues[queue], self.subscriptions[queue]
        while waiting and (able := [c for c in consumers if c.able]):
            consumer = able[0]
            consumers.remove(consumer)
            consumers.append(consumer)
            consumer.take(waiting.popleft())

    def dead(self, service: str) -> list[Parcel]:
        return list(self.queues[f"{service}.{DEAD}"])


class MemoryBus:
    """See chassis.bus.Bus; one service's connection to a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, user: str) -> None:
        self._broker, self._user = broker, user
        self._subscriptions: list[MemorySubscription] = []

    @property
    def ready(self) -> bool:
        return not self._broker.away and all(s.alive for s in self._subscriptions)

    async def start(self) -> None:
        if self._broker.away:
            raise BusUnavailable("the broker is away")

    async def stop(self) -> None:
        """Like a closed connection: whatever is not acknowledged goes back."""
        for subscription in self._subscriptions:
            subscription.drop()
        self._subscriptions.clear()

    async def publish(self, parcels: Sequence[Parcel]) -> list[Exception | None]:
        await asyncio.sleep(0)
        return [self._broker.route(replace(parcel, user_id=self._user)) for parcel in parcels]

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> "MemorySubscription":
        if queue not in self._broker.queues:
            raise QueueMissing(f"queue {queue!r} does not exist; apply the topology")
        subscription = MemorySubscription(self._broker, queue, prefetch, receive)
        self._broker.subscriptions[queue].append(subscription)
        self._subscriptions.append(subscription)
        self._broker.pump(queue)
        return subscription


class MemorySubscription:
    """See chassis.bus.Subscription."""

    def __init__(self, broker: MemoryBroker, queue: str, prefetch: int, receive: Receive) -> None:
        self._broker, self._queue, self._prefetch, self._receive = broker, queue, prefetch, receive
        self._held: dict[MemoryDelivery, Parcel] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self._paused = self._dropped = False

    @property
    def alive(self) -> bool:
        return not self._dropped

    @property
    def able(self) -> bool:
        return not self._paused and not self._dropped and len(self._held) < self._prefetch

    async def pause(self) -> None:
        self._paused = True

    async def resume(self) -> None:
        self._paused = False
        self._broker.pump(self._queue)

    def take(self, parcel: Parcel) -> None:
        delivery = MemoryDelivery(self, parcel, self._queue)
        self._held[delivery] = parcel
        task = asyncio.ensure_future(self._receive(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def settle(self, delivery: "MemoryDelivery", *, back: bool) -> None:
        parcel = self._held.pop(delivery, None)
        if parcel is None:
            return
        if back:
            self._broker.queues[self._queue].appendleft(parcel)
        self._broker.pump(self._queue)

    def drop(self) -> None:
        self._dropped = True
        if self in self._broker.subscriptions[self._queue]:
            self._broker.subscriptions[self._queue].remove(self)
        self._broker.queues[self._queue].extendleft(reversed(self._held.values()))
        self._held.clear()
        self._broker.pump(self._queue)


class MemoryDelivery:
    """See chassis.bus.Delivery."""

    def __init__(self, subscription: MemorySubscription, parcel: Parcel, queue: str) -> None:
        self._subscription, self.parcel, self.queue = subscription, parcel, queue

    async def ack(self) -> None:
        self._subscription.settle(self, back=False)

    async def requeue(self) -> None:
        self._subscription.settle(self, back=True)


@dataclass
class _Document:
    version: int
    state: dict[str, Any]
    journey: str
    handled: list[Handled]
    deadline_at: datetime | None
    unpublished_since: datetime | None


class MemoryStore:
    """See chassis.store.Store. Several services may share one: their kinds are kept apart by `database`."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, _Document]] = {}
        self.away = False

    async def start(self, kinds: Mapping[str, Collection[str]]) -> None:
        await self.ping()
        for kind in kinds:
            self._kinds.setdefault(kind, {})

    async def stop(self) -> None:
        return None

    async def ping(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("the store is away")

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        await self.ping()
        return {key: self._loaded(kind, key) for key in keys}

    def _loaded(self, kind: str, key: str) -> Loaded:
        document = self._kinds.setdefault(kind, {}).get(key)
        if document is None:
            return Loaded(kind, key)
        ids = frozenset(handled.message_id for handled in document.handled)
        return Loaded(kind, key, document.version, copy.deepcopy(document.state), ids, document.deadline_at)

    async def said(self, kind: str, wanted: Mapping[str, Collection[str]]) -> dict[str, tuple[Envelope, ...]]:
        await self.ping()
        return {
            handled.message_id: handled.says
            for key, ids in wanted.items()
            for handled in self._kinds[kind][key].handled
            if handled.message_id in ids
        }

    async def save(self, changes: Sequence[Change], *, together: bool = False) -> bool:
        await self.ping()
        current = [self._loaded(c.loaded.kind, c.loaded.key).version == c.loaded.version for c in changes]
        if together and not all(current):
            return False
        for change, is_current in zip(changes, current, strict=True):
            if is_current:
                self._write(change)
        return all(current)

    def _write(self, change: Change) -> None:
        documents = self._kinds.setdefault(change.loaded.kind, {})
        before = documents.get(change.loaded.key)
        handled = [*(before.handled if before else ()), *change.handled]
        if change.handled_max is not None:
            handled = handled[-change.handled_max :]
        since = change.handled[-1].at if change.unpublished else before.unpublished_since if before else None
        documents[change.loaded.key] = _Document(
            change.loaded.version + 1,
            copy.deepcopy(change.state),
            before.journey if before else change.journey,
            handled,
            change.deadline_at,
            since,
        )

    async def due(self, kind: str, now: datetime, limit: int) -> list[str]:
        await self.ping()
        late = [
            (document.deadline_at, key)
            for key, document in self._kinds.get(kind, {}).items()
            if document.deadline_at is not None and document.deadline_at <= now
        ]
        return [key for _, key in sorted(late)[:limit]]

    async def unpublished(self, kind: str, older_than: datetime, limit: int) -> list[tuple[Loaded, list[Envelope]]]:
        await self.ping()
        return [
            (self._loaded(kind, key), [said for handled in document.handled for said in handled.says])
            for key, document in self._kinds.get(kind, {}).items()
            if document.unpublished_since is not None and document.unpublished_since <= older_than
        ][:limit]

    async def published(self, kind: str, key: str, version: int) -> None:
        await self.ping()
        document = self._kinds[kind].get(key)
        if document is not None and document.version == version:
            document.unpublished_since = None

    async def find(
        self,
        kind: str,
        where: Mapping[str, Any] | None = None,
        *,
        after: str = "",
        limit: int = 20,
        newest_first: bool = False,
    ) -> list[Loaded]:
        await self.ping()
        found = [
            key
            for key, document in sorted(self._kinds.get(kind, {}).items(), reverse=newest_first)
            if all(_holds(document.state, path, value) for path, value in (where or {}).items())
            and (not after or (key < after if newest_first else key > after))
        ]
        return [self._loaded(kind, key) for key in found[:limit]]

    async def journey(self, kind: str, journey: str) -> list[tuple[Loaded, list[Handled]]]:
        await self.ping()
        return [
            (self._loaded(kind, key), list(document.handled))
            for key, document in self._kinds.get(kind, {}).items()
            if document.journey == journey
        ]


def _holds(state: Any, path: str, value: Any) -> bool:
    for step in path.split("."):
        state = state.get(step) if isinstance(state, Mapping) else None
    if isinstance(value, list):
        return isinstance(state, list) and all(item in state for item in value)
    return bool(state == value or (isinstance(state, list) and value in state))

"""The broker and its connections, with everything that can happen to a message between two services."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from chassis.bus import BusUnavailable, Delivery, Receive, Subscription, Unroutable
from chassis.memory import MemoryBroker, MemoryBus, MemorySubscription, returned, returns
from chassis.retry import DEAD, LADDER_MS, REJECTED
from chassis.topology import Topology, given_up_key
from contracts.envelope import Parcel
from journey.dead_letters import DeadLetter, letter_of
from tests.simulation.channels import Consuming
from tests.simulation.faults import Counted, Kind, Moment

LATE_S = 200.0  # longer than any backoff, shorter than the order's deadline
LATER_S = 40.0
_NOBODY_LISTENS = ("journal", "audit", "unroutable")

Name = Callable[[Parcel], str]


class Broker(MemoryBroker):
    """A MemoryBroker whose deliveries take time, get lost on the way to the consumer, and come twice."""

    def __init__(self, topology: Topology, plan: Counted, name: Name, delay: Callable[[str], float]) -> None:
        super().__init__(topology)
        self._plan, self._name, self._delay = plan, name, delay
        self.under_way = 0
        self.came_back: Counter[str] = Counter()  # how often, at most: any message of a journey
        self.poison: set[str | None] = set()
        self.heard: Callable[[Parcel], None] = lambda parcel: None

    def route(self, parcel: Parcel) -> Exception | None:
        error = super().route(parcel)
        if error is None:
            self.heard(parcel)
            if parcel.exchange in LADDER_MS:
                self.under_way += 1
                asyncio.get_running_loop().call_later(LADDER_MS[parcel.exchange] / 1000 + 0.001, self._landed)
        return error

    def _landed(self) -> None:
        self.under_way -= 1

    def _arrive(self, queue: str, parcel: Parcel) -> None:
        if queue in _NOBODY_LISTENS or queue.endswith((".dead", ".rejected")):
            super()._arrive(queue, parcel)
            return
        what = self._name(parcel)
        match self._plan.at(queue, Moment.DELIVER, what):
            case Kind.DELIVERY_LIMIT:
                self.give_up(queue, parcel)
            case Kind.TWICE:
                self.later(self._delay(f"{queue} {what}"), queue, parcel)
                self.later(self._delay(f"{queue} {what} again"), queue, parcel)
            case Kind.LATE:
                self.later(LATE_S, queue, parcel)
            case _:
                self.later(self._delay(f"{queue} {what}"), queue, parcel)

    def later(self, after_s: float, queue: str, parcel: Parcel) -> None:
        self.call_later(after_s, partial(super()._arrive, queue, parcel))

    def call_later(self, after_s: float, do: Callable[[], None]) -> None:
        self.under_way += 1
        asyncio.get_running_loop().call_later(after_s, self._do, do)

    def _do(self, do: Callable[[], None]) -> None:
        self.under_way -= 1
        do()

    # What comes back is before all others, and behind what came back earlier, as in a quorum queue.
    real_subscriptions = False

    def give_back(self, queue: str, parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            journey = parcel.correlation_id or ""
            self.came_back[journey] = max(self.came_back[journey], returns(parcel) + 1)
        if not self.real_subscriptions:
            super().give_back(queue, parcels)
            return
        waiting = self.queues[queue]
        behind = next((at for at, other in enumerate(waiting) if not returns(other)), len(waiting))
        for at, parcel in enumerate(parcels, behind):
            waiting.insert(at, returned(parcel))
        self.pump(queue)

    def give_up(self, queue: str, parcel: Parcel) -> None:
        """As the broker does it: it knows the queue, and nothing of our headers."""
        keys = [parcel.routing_key]
        death = {"queue": queue, "reason": "delivery_limit", "exchange": parcel.exchange, "routing-keys": keys}
        key, headers = given_up_key(queue), {**parcel.headers, "x-death": [death]}
        dead = replace(parcel, exchange=DEAD, routing_key=key, headers=headers)
        for bound in self._topology.bound(DEAD, key):
            super()._arrive(bound, dead)

    def explains(self, letter: DeadLetter) -> bool:
        return letter.by_broker or letter.parcel.message_id in self.poison

    def take_dead(self, service: str) -> list[DeadLetter]:
        letters = [letter_of(service, parcel) for parcel in self.dead(service)]
        for kind in DEAD, REJECTED:
            self.queues[f"{service}.{kind}"].clear()
        return letters

    def publish_later(self, parcels: Sequence[Parcel]) -> None:
        """Somebody was told that this failed. It did not."""
        self.under_way += 1
        asyncio.get_running_loop().call_later(LATER_S, self._route_now, parcels)

    def _route_now(self, parcels: Sequence[Parcel]) -> None:
        self.under_way -= 1
        for parcel in parcels:
            self.route(parcel)


class Wire:
    """See chassis.bus.Bus: the connection of one instance, which can break at every use."""

    def __init__(self, broker: Broker, user: str, host: Any, name: Name, consuming: Consuming | None = None) -> None:
        self._inner, self._broker, self._user = MemoryBus(broker, user), broker, user
        self._host, self._name, self._consuming = host, name, consuming
        self._subscriptions: list[MemorySubscription] = []

    @property
    def ready(self) -> bool:
        return self._inner.ready and (self._consuming is None or self._consuming.ready)

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        await self._inner.stop()
        if self._consuming is not None:
            self._consuming.stop()

    async def ping(self) -> None:
        await self._inner.ping()

    async def publish(self, parcels: Sequence[Parcel]) -> list[Exception | None]:
        what = " + ".join(self._name(parcel) for parcel in parcels)
        kind = await self._host.reaches(Moment.PUBLISH, what)
        match kind:
            case Kind.AWAY_NOT_DONE:
                return [BusUnavailable("no confirmation")] * len(parcels)
            case Kind.DELIVERED_LATER:
                self._broker.publish_later([replace(parcel, user_id=self._user) for parcel in parcels])
                return [BusUnavailable("no confirmation")] * len(parcels)
            case Kind.REFUSED:
                return [Unroutable("no queue takes it")] * len(parcels)
        results = await self._inner.publish(parcels)
        await self._host.leaves(kind)
        return results

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> Subscription:
        await self._host.alive()

        def take(delivery: Delivery) -> None:
            if not self._host.dead:  # else it goes back when the connection is closed
                # Without the real subscription nothing limits the returns of neighbours, so they do not count.
                times = 0 if self._consuming is None else delivery.returned
                receive(replace(delivery, settle=partial(self.settle, delivery), returned=times))

        if self._consuming is not None:
            return await self._consuming.subscribe(queue, prefetch, take)
        subscription = await self._inner.subscribe(queue, prefetch, take)
        self._subscriptions.append(subscription)
        return subscription

    async def settle(self, delivery: Delivery, done: bool) -> None:
        if not done:
            await delivery.requeue()
            return
        kind = await self._host.reaches(Moment.ACK, self._name(delivery.parcel))
        if kind is Kind.CONNECTION_LOST:
            self.lose()
        await delivery.ack()
        await self._host.leaves(kind)

    def lose(self) -> None:
        """The connection breaks: all that is held goes back, and later acknowledgements count for nothing."""
        for subscription in self._subscriptions:
            subscription.lose()
        if self._consuming is not None:
            self._consuming.lose()

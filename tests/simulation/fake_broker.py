"""The broker and its connections, with all faults that can affect a message between two services."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from chassis.bus.memory import MemoryBroker, MemoryBus, MemorySubscription, returned, returns
from chassis.bus.protocol import BusUnavailable, Delivery, Receive, Subscription, Unroutable
from chassis.bus.retry_ladder import DEAD, REJECTED, RetryLadder
from chassis.bus.topology_model import Topology
from chassis.bus.topology_policies import given_up_key
from chassis.messaging.envelope import WireMessage
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from tests.simulation.channels import Consuming
from tests.simulation.faults import Counted, Kind, Moment

LADDER = RetryLadder()
DELAYS_MS = {rung.name: rung.delay_ms for rung in LADDER.rungs}

LATE_S = 200.0  # longer than any backoff, shorter than the order's deadline
LATER_S = 40.0
_UNROUTABLE = ("journal", "audit", "unroutable")

Name = Callable[[WireMessage], str]


class Broker(MemoryBroker):
    """A MemoryBroker whose deliveries take time, get lost on the way to the consumer, or arrive twice."""

    def __init__(self, topology: Topology, plan: Counted, name: Name, delay: Callable[[str], float]) -> None:
        super().__init__(topology)
        self._plan = plan
        self._name = name
        self._delay = delay
        self.under_way = 0
        self.came_back: Counter[str] = Counter()  # the maximum of returns of one message, by journey
        self.poison: set[str | None] = set()
        self.refused: Counter[str] = Counter()  # how often a fault refused what a message led to, by its id
        self.received: Callable[[WireMessage], None] = lambda wire_message: None

    def route(self, wire_message: WireMessage) -> Exception | None:
        error = super().route(wire_message)
        if error is None:
            self.received(wire_message)
            if delay_ms := DELAYS_MS.get(wire_message.exchange):
                self.under_way += 1
                asyncio.get_running_loop().call_later(delay_ms / 1000 + 0.001, self._landed)
        return error

    def _landed(self) -> None:
        self.under_way -= 1

    def _arrive(self, queue: str, wire_message: WireMessage) -> None:
        if queue in _UNROUTABLE or queue.endswith((".dead", ".rejected")):
            super()._arrive(queue, wire_message)
            return
        what = self._name(wire_message)
        match self._plan.at(queue, Moment.DELIVER, what):
            case Kind.DELIVERY_LIMIT:
                self.give_up(queue, wire_message)
            case Kind.TWICE:
                self.later(self._delay(f"{queue} {what}"), queue, wire_message)
                self.later(self._delay(f"{queue} {what} again"), queue, wire_message)
            case Kind.LATE:
                self.later(LATE_S, queue, wire_message)
            case _:
                self.later(self._delay(f"{queue} {what}"), queue, wire_message)

    def later(self, after_s: float, queue: str, wire_message: WireMessage) -> None:
        self.call_later(after_s, partial(super()._arrive, queue, wire_message))

    def call_later(self, after_s: float, do: Callable[[], None]) -> None:
        self.under_way += 1
        asyncio.get_running_loop().call_later(after_s, self._do, do)

    def _do(self, do: Callable[[], None]) -> None:
        self.under_way -= 1
        do()

    # Returned messages come before all others, but after those that returned earlier, as in a quorum queue.
    real_subscriptions = False

    def give_back(self, queue: str, wire_messages: Sequence[WireMessage]) -> None:
        for wire_message in wire_messages:
            journey = wire_message.correlation_id or ""
            self.came_back[journey] = max(self.came_back[journey], returns(wire_message) + 1)
        if not self.real_subscriptions:
            super().give_back(queue, wire_messages)
            return
        waiting = self.queues[queue]
        behind = next((at for at, other in enumerate(waiting) if not returns(other)), len(waiting))
        for at, wire_message in enumerate(wire_messages, behind):
            waiting.insert(at, returned(wire_message))
        self.pump(queue)

    def give_up(self, queue: str, wire_message: WireMessage) -> None:
        """As the broker does it: it sees the queue, and ignores our headers."""
        keys = [wire_message.routing_key]
        death = {
            "queue": queue,
            "reason": "delivery_limit",
            "exchange": wire_message.exchange,
            "routing-keys": keys,
        }
        key, headers = given_up_key(queue), {**wire_message.headers, "x-death": [death]}
        exchange = self._topology.catalog.names.dead
        dead = replace(wire_message, exchange=exchange, routing_key=key, headers=headers)
        for bound in self._topology.bound(exchange, key):
            super()._arrive(bound, dead)

    def explains(self, dead_letter: DeadLetter) -> bool:
        """Whether faults caused it; for instance, they refused what it led to in every retry queue."""
        unroutable = dead_letter.error_type == Unroutable.__name__
        refused = unroutable and self.refused[dead_letter.id] >= LADDER.attempts_max
        return dead_letter.by_broker or refused or dead_letter.wire_message.message_id in self.poison

    def take_dead(self, service: str) -> list[DeadLetter]:
        dead_letters = [dead_letter_of(service, wire_message) for wire_message in self.dead(service)]
        for kind in DEAD, REJECTED:
            self.queues[f"{service}.{kind}"].clear()
        return dead_letters

    def publish_later(self, wire_messages: Sequence[WireMessage]) -> None:
        """The publisher got an error, but the messages are published later."""
        self.under_way += 1
        asyncio.get_running_loop().call_later(LATER_S, self._route_now, wire_messages)

    def _route_now(self, wire_messages: Sequence[WireMessage]) -> None:
        self.under_way -= 1
        for wire_message in wire_messages:
            self.route(wire_message)


class FakeConnection:
    """See chassis.bus.protocol.Bus: the connection of one instance, which can break at every use."""

    def __init__(
        self, broker: Broker, user: str, host: Any, name: Name, consuming: Consuming | None = None
    ) -> None:
        self._inner = MemoryBus(broker, user)
        self._broker = broker
        self._user = user
        self._host = host
        self._name = name
        self._consuming = consuming
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

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        what = " + ".join(self._name(wire_message) for wire_message in wire_messages)
        kind = await self._host.reaches(Moment.PUBLISH, what)
        match kind:
            case Kind.AWAY_NOT_DONE:
                return [BusUnavailable("no confirmation")] * len(wire_messages)
            case Kind.DELIVERED_LATER:
                self._broker.publish_later(
                    [replace(wire_message, user_id=self._user) for wire_message in wire_messages]
                )
                return [BusUnavailable("no confirmation")] * len(wire_messages)
            case Kind.REFUSED:
                causes = {str(each.headers.get("causation_id", "")) for each in wire_messages}
                self._broker.refused.update(causes)
                return [Unroutable("no queue takes it")] * len(wire_messages)
        results = await self._inner.publish(wire_messages)
        await self._host.leaves(kind)
        return results

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> Subscription:
        await self._host.alive()

        def take(delivery: Delivery) -> None:
            if not self._host.dead:  # else it returns when the connection closes
                # Without the real subscription nothing limits how often other messages return, so returns do
                # not count.
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
        kind = await self._host.reaches(Moment.ACK, self._name(delivery.wire_message))
        if kind is Kind.CONNECTION_LOST:
            self.lose()
        await delivery.ack()
        await self._host.leaves(kind)

    def lose(self) -> None:
        """The connection breaks: unacknowledged messages return,
        and later acknowledgements have no effect.
        """
        for subscription in self._subscriptions:
            subscription.lose()
        if self._consuming is not None:
            self._consuming.lose()

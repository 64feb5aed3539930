"""The bus in memory: for tests, the simulation, and a demo without installed servers.

It gives the guarantees that the conformance suite checks, and no others.
"""

import asyncio
import math
import re
import zlib
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, count

from chassis.bus.carbon_copies import routing_keys
from chassis.bus.partitioning import HASHED_HEADER
from chassis.bus.protocol import AccessRefused, BusUnavailable, Delivery, QueueMissing, Receive, Unroutable
from chassis.bus.retry_ladder import DEAD, REJECTED
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import WireMessage
from chassis.messaging.untrusted import count as number
from chassis.store.memory import MemoryStore as MemoryStore

RETURNS = "x-delivery-count"
"""The header in which the broker counts how often a message returned to its queue."""


class MemoryBroker:
    """Exchanges, queues, rights and retry ladder of one virtual host.

    `delay_scale` shortens the ladder in tests.

    There are no logins. A user that the topology does not define may publish anything.
    """

    def __init__(self, topology: Topology, delay_scale: float = 1.0) -> None:
        self._topology = topology
        self._delay_scale = delay_scale
        self._users = {user.name: user for user in topology.users}
        self._delays_ms = {rung.name: rung.delay_ms for rung in topology.ladder}
        self._away = False
        # The queue that feeds the queues of clients never holds messages, and there are no queues of clients
        # here.
        feed = topology.catalog.names.client_events
        self.queues: dict[str, deque[WireMessage]] = {
            queue.name: deque() for queue in topology.queues if queue.name != feed
        }
        self.subscriptions: dict[str, list[MemorySubscription]] = {name: [] for name in self.queues}
        self.tapped: list[WireMessage] = []
        self.lost: Counter[str] = Counter()
        self._bounds = {
            queue.name: bound for queue in topology.queues if (bound := _bound(topology, queue.name))
        }

    @property
    def away(self) -> bool:
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        self.cut()

    def cut(self) -> None:
        """Drop every connection: unacknowledged messages return to their queues,
        and late acknowledgements have no effect.
        """
        for subscription in chain.from_iterable(map(list, self.subscriptions.values())):
            subscription.lose()

    def route(self, wire_message: WireMessage) -> Exception | None:
        if self.away:
            return BusUnavailable("the broker is away")
        if not self._may(wire_message):
            topic = f"topic {wire_message.routing_key!r} in exchange {wire_message.exchange!r}"
            return AccessRefused(f"user {wire_message.user_id!r} lacks the right to write to {topic}")
        self.tapped.append(wire_message)
        keys, wire_message = routing_keys(wire_message)
        if delay_ms := self._delays_ms.get(wire_message.exchange):
            after_s = delay_ms / 1000 * self._delay_scale
            back = replace(wire_message, exchange="")
            for key in keys:
                asyncio.get_running_loop().call_later(after_s, partial(self._arrive, key, back))
            return None
        bound = dict.fromkeys(
            self._partition_for(queue, wire_message)
            for key in keys
            for queue in self._topology.bound(wire_message.exchange, key)
        )
        queues = [queue for queue in bound if queue in self.queues]
        for queue in queues:
            self._arrive(queue, wire_message)
        return (
            None
            if queues
            else Unroutable(f"no queue takes {wire_message.routing_key!r} from {wire_message.exchange!r}")
        )

    def _partition_for(self, queue: str, wire_message: WireMessage) -> str:
        """The partition for the message's aggregate. A real broker may choose another one."""
        partitions = self._topology.partitions_of(queue)
        hashed = zlib.crc32(str(wire_message.headers.get(HASHED_HEADER)).encode())
        return partitions[hashed % len(partitions)]

    def _may(self, wire_message: WireMessage) -> bool:
        if (user := self._users.get(wire_message.user_id or "")) is None:
            return True
        topics = user.topics.get(wire_message.exchange, "")
        return bool(
            re.search(user.write, wire_message.exchange) and re.search(topics, wire_message.routing_key)
        )

    def _arrive(self, queue: str, wire_message: WireMessage) -> None:
        if queue in self.queues:
            self.queues[queue].append(_fresh(wire_message))
            self.pump(queue)
            self._bound_length(queue)

    def _bound_length(self, queue: str) -> None:
        """Drop and count the oldest waiting messages until the queue is within the limits of its policy."""
        if bound := self._bounds.get(queue):
            waiting = self.queues[queue]
            messages_max, bytes_max = bound
            total = sum(len(wire_message.body) for wire_message in waiting)
            while len(waiting) > messages_max or total > bytes_max:
                total -= len(waiting.popleft().body)
                self.lost[queue] += 1

    def give_back(self, queue: str, wire_messages: Sequence[WireMessage]) -> None:
        if queue in self.queues:
            self.queues[queue].extendleft(map(returned, reversed(wire_messages)))
            self.pump(queue)

    def pump(self, queue: str) -> None:
        """Deliver waiting messages to the consumers round-robin, each up to its prefetch."""
        waiting = self.queues.get(queue)
        consumers = self.subscriptions[queue]
        while waiting and not self.away and (able := [each for each in consumers if each.able]):
            consumers.remove(able[0])
            consumers.append(able[0])
            able[0].take(waiting.popleft())

    def dead(self, service: str) -> list[WireMessage]:
        """A service's dead letters and rejected messages."""
        return [*self.queues[f"{service}.{DEAD}"], *self.queues[f"{service}.{REJECTED}"]]


def _bound(topology: Topology, queue: str) -> tuple[float, float] | None:
    """The limits of a queue in messages and bytes, if its dropped messages are counted; else None."""
    for policy in topology.policies:
        wanted = policy.definition
        if wanted.get("dead-letter-exchange") == topology.catalog.names.lost and re.search(
            policy.pattern, queue
        ):
            return float(wanted.get("max-length", math.inf)), float(wanted.get("max-length-bytes", math.inf))
    return None


class MemoryBus:
    """See chassis.bus.protocol.Bus. One service's connection to a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, user: str) -> None:
        self.broker = broker
        self._user = user
        self._subscriptions: list[MemorySubscription] = []

    @property
    def ready(self) -> bool:
        return not self.broker.away and all(s.alive for s in self._subscriptions)

    async def start(self) -> None:
        if self.broker.away:
            raise BusUnavailable("the broker is away")

    async def stop(self) -> None:
        """Like a closed connection: unacknowledged messages return to their queues."""
        while self._subscriptions:
            self._subscriptions.pop().stop()

    async def ping(self) -> None:
        if self.broker.away:
            raise BusUnavailable("the broker is away")

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        await asyncio.sleep(0)
        return [
            self.broker.route(replace(wire_message, user_id=self._user)) for wire_message in wire_messages
        ]

    async def subscribe(self, queue: str, prefetch: int, receive: Receive) -> "MemorySubscription":
        await self.start()
        if queue not in self.broker.queues:
            raise QueueMissing(f"queue {queue!r} does not exist; apply the topology")
        subscription = MemorySubscription(self.broker, queue, prefetch, receive=receive)
        self._subscriptions.append(subscription)
        return subscription


class MemorySubscription:
    """See chassis.bus.protocol.Subscription."""

    def __init__(self, broker: MemoryBroker, queue: str, prefetch: int, receive: Receive) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._receive = receive
        self._held: dict[int, WireMessage] = {}
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
        """Drop the connection: unacknowledged messages return to the queue."""
        held = list(self._held.values())
        self._held.clear()
        self._broker.give_back(self._queue, held)

    def take(self, wire_message: WireMessage) -> None:
        tag = next(self._numbers)
        self._held[tag] = wire_message
        delivery = Delivery(
            wire_message, self._queue, partial(self._settle, tag), returned=returns(wire_message)
        )
        asyncio.get_running_loop().call_soon(self._receive, delivery)

    async def _settle(self, tag: int, done: bool) -> None:
        self.settle(tag, done)

    def settle(self, tag: int, done: bool) -> None:
        if wire_message := self._held.pop(tag, None):
            self._broker.give_back(self._queue, [] if done else [wire_message])


def returns(wire_message: WireMessage) -> int:
    """How often the message returned to its queue."""
    return number(wire_message.headers.get(RETURNS))


def returned(wire_message: WireMessage) -> WireMessage:
    """The message with its return count increased by one."""
    return replace(wire_message, headers={**wire_message.headers, RETURNS: returns(wire_message) + 1})


def _fresh(wire_message: WireMessage) -> WireMessage:
    """Without the return count: each queue counts for itself, and a sender cannot set the count."""
    if RETURNS not in wire_message.headers:
        return wire_message
    return replace(
        wire_message, headers={name: value for name, value in wire_message.headers.items() if name != RETURNS}
    )

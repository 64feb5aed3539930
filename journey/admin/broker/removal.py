"""Removes from the broker what the topology does not name, without losing a message.

1. Bindings are removed, so that nothing new arrives.
2. A queue is deleted once it has no consumer and no message. Until then its consumers empty it. The retry
   ladder returns messages to a queue without a binding, so it must not hold any. Dead letters come last.
3. Exchanges without bindings, and policies, are removed when no queue is left to remove.

The broker cannot delete a quorum queue on the condition that it is empty, so the counts are read before. They
are read over AMQP, because those of the management API are seconds old.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from aiormq.exceptions import ChannelNotFoundEntity

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.aiormq_frames.aiormq_connection import Connection
from chassis.bus.partitioning import HASH_EXCHANGE
from chassis.bus.topology_model import Topology
from journey.admin.broker import definitions
from journey.admin.broker.definitions import Json
from journey.admin.broker.management import BrokerAdmin
from journey.admin.broker.partition_bindings import binding_path
from journey.admin.dead_letters.reader import RESPONSE_S_MAX, connected

STREAM = "stream"
POLL_S = 1.0
# How long after its delay a message may still be on its way back from the retry ladder.
LADDER_MARGIN_S = 5.0
Log = Callable[[str], None]


@dataclass(frozen=True)
class Surplus:
    """What is on the broker and not in the topology, without what belongs to clients and to the broker."""

    bindings: Sequence[Json] = ()
    queues: Sequence[str] = ()
    exchanges: Sequence[str] = ()
    policies: Sequence[str] = ()
    streams: frozenset[str] = frozenset()
    # Those that messages reach from other queues: dead letters and rungs of the retry ladder.
    last: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.bindings or self.queues or self.exchanges or self.policies)

    def steps(self) -> Iterator[str]:
        """What `journey topology apply --remove` does, one sentence each, in order."""
        for each in self.bindings:
            kind = "exchange " if each["destination_type"] == "exchange" else ""
            route = f"{kind}{each['destination']} from {each['source']}"
            yield f"1. unbind {route}, routing key {each['routing_key']}"
        for queue in self.queues:
            when = (
                "by hand, because it is a stream" if queue in self.streams else "once it is empty and unused"
            )
            yield f"2. delete queue {queue}, {when}"
        yield from (f"3. delete exchange {name}, once nothing is bound to it" for name in self.exchanges)
        yield from (f"3. delete policy {name}" for name in self.policies)


@dataclass(frozen=True)
class QueueContent:
    """`ladder_s`: seconds until no message can return to the queue from the retry ladder."""

    messages: int
    consumers: int
    ladder_s: float = 0.0
    is_stream: bool = False

    @property
    def in_use(self) -> str:
        """Why the queue must not be deleted yet; empty if it may be."""
        if self.is_stream:
            return "a stream keeps its messages; delete it by hand if they are not needed"
        found = []
        if self.messages:
            found.append(f"{self.messages:,} message{'s' * (self.messages > 1)}")
        if self.consumers:
            found.append(f"{self.consumers} consumer{'s' * (self.consumers > 1)}")
        if self.ladder_s and not found:
            found.append(f"perhaps messages on the retry ladder, for {self.ladder_s:.0f} s")
        return " and ".join(found)


async def find_surplus(
    admin: BrokerAdmin, topology: Topology, vhost: str, keep: tuple[str, ...] = ()
) -> Surplus:
    """`keep`: how the names of another system begin that shares the virtual host."""
    name = quote(vhost, safe="")
    actual, bindings = await asyncio.gather(
        admin.ask("GET", f"definitions/{name}"), admin.ask("GET", f"bindings/{name}")
    )
    wanted = definitions.objects(topology, vhost)
    others = ("amq.", f"{topology.catalog.names.client}.", *keep)

    def extra(part: str) -> list[str]:
        known = {each["name"] for each in wanted[part]}
        return [
            each["name"]
            for each in actual[part]
            if each["name"] not in known and not each["name"].startswith(others)
        ]

    bound = {_route(each) for each in wanted["bindings"]}
    streams = (each["name"] for each in actual["queues"] if each["arguments"].get("x-queue-type") == STREAM)
    spare = [
        each
        for each in bindings
        if each["source"] and not each["destination"].startswith(others) and _route(each) not in bound
    ]
    queues = extra("queues")
    names = topology.catalog.names
    hashing = {each["name"] for each in actual["exchanges"] if each["type"] == HASH_EXCHANGE}
    inputs = {names.commands, names.events} | hashing
    last = {each["destination"] for each in spare if each["source"] not in inputs}
    last.difference_update(each["destination"] for each in spare if each["source"] in inputs)
    # An exchange that chooses a partition is cut off before its partitions.
    spare.sort(key=lambda each: each["source"] in hashing)
    return Surplus(
        # A queue's other bindings go with it: until then its dead letters, and what it retries, arrive.
        bindings=[each for each in spare if each["destination"] not in last.intersection(queues)],
        queues=queues,
        last=frozenset(last),
        exchanges=extra("exchanges"),
        policies=extra("policies"),
        streams=frozenset(streams),
    )


def _route(binding: Json) -> tuple[str, str, str, str]:
    return binding["source"], binding["destination_type"], binding["destination"], binding["routing_key"]


@dataclass
class Removal:
    """One removal. `amqp_url`: with the operator's credentials, for the virtual host `vhost`."""

    admin: BrokerAdmin
    topology: Topology
    vhost: str
    amqp_url: str = field(repr=False)
    keep: tuple[str, ...] = ()

    async def run(self, *, drain_s: float = 0.0, report: Log = lambda text: None) -> list[str]:
        """Remove what may be removed. Returns one sentence for each queue that had to stay.

        `drain_s`: how many seconds to wait until queues are empty and unused.
        """
        surplus = await find_surplus(self.admin, self.topology, self.vhost, self.keep)
        for each in surplus.bindings:
            await self._unbind(each)
        left = await self._delete_queues(surplus, drain_s, report)
        if not left:
            for name in surplus.exchanges:
                await self.admin.ask(
                    "DELETE", self._path("exchanges", name), params={"if-unused": "true"}, missing_ok=True
                )
            for name in surplus.policies:
                await self.admin.ask("DELETE", self._path("policies", name), missing_ok=True)
        return [f"queue {name} stays: {why}" for name, why in left.items()]

    async def _delete_queues(self, surplus: Surplus, drain_s: float, report: Log) -> dict[str, str]:
        """Returns the queues that stay, with the reason of each."""
        unused_since: dict[str, float] = {}
        waiting = dict.fromkeys(surplus.queues, "")
        ends_at = time.monotonic() + drain_s
        while waiting:
            async with connected(self.amqp_url) as connection:
                for name in sorted(waiting, key=surplus.last.__contains__):
                    first = waiting.keys() - surplus.last - surplus.streams if name in surplus.last else ()
                    content = await self._content(connection, name, unused_since)
                    content = replace(content, is_stream=name in surplus.streams)
                    waiting[name] = content.in_use or (
                        f"{', '.join(sorted(first))} must go first" * bool(first)
                    )
                    if not waiting[name]:
                        await self.admin.delete_queue(self.vhost, name)
                        del waiting[name]
                        report(f"deleted queue {name}")
            if not waiting or time.monotonic() >= ends_at or surplus.streams.issuperset(waiting):
                break
            report("; ".join(f"{name}: {why}" for name, why in waiting.items()))
            await asyncio.sleep(POLL_S)
        return waiting

    async def _content(
        self, connection: Connection, name: str, unused_since: dict[str, float]
    ) -> QueueContent:
        found = await _count(connection, name)
        if found is None:  # already deleted
            return QueueContent(0, 0)
        messages, consumers = found
        if consumers:  # only a consumer puts messages on the retry ladder
            unused_since.pop(name, None)
            return QueueContent(messages, consumers)
        since = unused_since.setdefault(name, time.monotonic())
        return QueueContent(messages, consumers, await self._ladder_s(connection, time.monotonic() - since))

    async def _ladder_s(self, connection: Connection, unused_s: float) -> float:
        """A rung returns nothing if it is empty, or if its delay has passed since the queue was last used."""
        left = 0.0
        for rung in self.topology.ladder:
            wait_s = rung.delay_ms / 1000 + LADDER_MARGIN_S - unused_s
            found = await _count(connection, rung.name) if wait_s > 0 else None
            if found is not None and found[0]:
                left = max(left, wait_s)
        return left

    async def _unbind(self, binding: Json) -> None:
        await self.admin.ask("DELETE", binding_path(binding, self.vhost), missing_ok=True)

    def _path(self, kind: str, name: str) -> str:
        return f"{kind}/{quote(self.vhost, safe='')}/{quote(name, safe='')}"


async def _count(connection: Connection, queue: str) -> tuple[int, int] | None:
    """Messages that are ready, and consumers; None if there is no such queue.

    Without a consumer no message is unacknowledged.
    """
    async with aiormq_connection.broker_call(RESPONSE_S_MAX):
        channel = await connection.channel()
        try:
            declared = await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            return None
        await channel.close()
    return declared.message_count or 0, declared.consumer_count or 0

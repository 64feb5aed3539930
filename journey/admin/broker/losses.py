"""Counts the messages that full bounded queues have discarded, per queue, since the shop was created.

The broker moves what a full queue discards to the queue `lost`. A reader of the totals counts and removes
them:

    take the lock -> read the totals -> take lost messages -> publish the new totals, confirmed -> remove both

The totals are one message in the queue `losses`, so they survive restarts without a database. The message
also holds fingerprints of the last counted batch, so a crash before the removal counts nothing twice. Only if
`lost` itself overflows, because nothing has counted for long, the totals are too low. The last message that
it discards is then in `lost.uncounted`, and the totals say "at least".
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelClosed, ChannelLockedResource
from pamqp.commands import Basic

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.protocol import BusUnavailable
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import new_id
from chassis.messaging.partitions import input_queue_of
from chassis.messaging.untrusted import shortened
from contracts.catalog import NAMES
from journey.admin.dead_letters.reader import RESPONSE_S_MAX, connected
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import shop_topology

BATCH = 200
_LOCK = f"{NAMES.losses}.counting"  # an exclusive queue: only one connection can declare it
_TRIES, _PAUSE_S = 40, 0.25
_OURS = frozenset(queue.name for queue in shop_topology().queues)
_OTHERS = "other queues"


@dataclass(frozen=True)
class Losses:
    """`lost`: queue, or group of queues -> number of discarded messages."""

    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """One sentence per queue, the largest loss first."""
        least = "at least " if NAMES.lost in self.lost else ""
        known = sorted(
            ((queue, n) for queue, n in self.lost.items() if queue != NAMES.lost), key=lambda each: -each[1]
        )
        sentences = [
            f"{queue} was full and discarded {least}{n:,} message{'s' * (n > 1)}" for queue, n in known
        ]
        return sentences or ["full queues discarded messages that were not counted"] * (
            NAMES.lost in self.lost
        )

    @property
    def by_own_queue(self) -> dict[str, int]:
        """The totals of the shop's queues. Those of all others are one total: clients choose the names."""
        totals: Counter[str] = Counter()
        for queue, number in self.lost.items():
            totals[queue if input_queue_of(queue) in _OURS else _OTHERS] += number
        return dict(totals)


async def read_losses(amqp_url: str) -> Losses:
    """The current totals.

    Raises InfrastructureUnavailable if the broker is down or its topology is not applied.
    """
    async with connected(amqp_url) as connection:
        try:
            async with _alone(connection):
                async with aiormq_connection.broker_call(RESPONSE_S_MAX):
                    lost, totals = await connection.channel(), await connection.channel()
                user = unquote(urlsplit(amqp_url).username or "")
                return Losses(await _Counting(lost, totals, user).run())
        except ChannelClosed as error:
            raise InfrastructureUnavailable(
                f"discarded messages cannot be counted: {shortened(error)}", "run `journey topology apply`"
            ) from None


@asynccontextmanager
async def _alone(connection: aiormq_connection.Connection) -> AsyncIterator[None]:
    """Only one process counts at a time. The broker releases the lock when the connection closes."""
    for _ in range(_TRIES):
        async with aiormq_connection.broker_call(RESPONSE_S_MAX):
            channel = await connection.channel()
            try:
                await channel.queue_declare(_LOCK, exclusive=True)
            except ChannelLockedResource:
                await asyncio.sleep(_PAUSE_S)
                continue
        try:
            yield
        finally:
            await aiormq_connection.best_effort(channel.queue_delete(_LOCK))
        return
    raise InfrastructureUnavailable(
        "another process is counting discarded messages", "retry in a few seconds"
    )


class _Counting:
    """`lost` and `totals` are separate channels,
    so that one `multiple` acknowledgement settles a whole channel.
    """

    def __init__(self, lost: aiormq.Channel, totals: aiormq.Channel, user: str) -> None:
        self._lost = lost
        self._totals = totals
        self._user = user
        self._counts: Counter[str] = Counter()
        self._before: Counter[str] = Counter()  # fingerprints of the last counted batch

    async def run(self) -> dict[str, int]:
        newest = await self._read()
        if await _taken(self._totals, NAMES.uncounted):
            self._counts[NAMES.lost] += 1
            newest = await self._write()
        while batch := [message for _ in range(BATCH) if (message := await _taken(self._lost, NAMES.lost))]:
            fresh = [message for message in batch if not self._known(message)]
            self._counts.update(_thrower(message) for message in fresh)
            self._before = Counter(map(_fingerprint, batch))
            newest = await self._write()
            async with aiormq_connection.broker_call(RESPONSE_S_MAX):
                await self._lost.basic_ack(batch[-1].delivery_tag or 0, multiple=True)
        if newest:
            async with aiormq_connection.broker_call(RESPONSE_S_MAX):
                await self._totals.basic_nack(newest, requeue=True)
        for channel in (self._lost, self._totals):
            await aiormq_connection.best_effort(
                channel.queue_declare(NAMES.losses, passive=True)
            )  # its response arrives after the acknowledgements were processed
            await aiormq_connection.best_effort(channel.close())
        return dict(self._counts)

    async def _read(self) -> int:
        """Returns the delivery tag of the totals.

        If a crash left two messages, the later one has the larger totals.
        """
        tag = 0
        while message := await _taken(self._totals, NAMES.losses):
            found = _parsed(message.body)
            if sum(found[0].values()) >= self._counts.total():
                self._counts, self._before = found
            tag = message.delivery_tag or 0
        return tag

    async def _write(self) -> int:
        """Publish new totals. After the confirm, remove the old ones and the message of `lost.uncounted`."""
        body = json.dumps({"lost": self._counts, "before": list(self._before.elements())}).encode()
        wire_message = WireMessage("", NAMES.losses, body, str(new_id()), "losses", "journey", None)
        for error in await aiormq_connection.publish(
            self._totals, [wire_message], self._user, limit_s=RESPONSE_S_MAX
        ):
            if isinstance(error, BusUnavailable):
                raise error
            if error is not None:
                raise InfrastructureUnavailable(
                    f"discarded messages cannot be counted: {error}", "run `journey topology apply`"
                )
        async with aiormq_connection.broker_call(RESPONSE_S_MAX):
            await self._totals.basic_ack(0, multiple=True)
        return 0

    def _known(self, message: DeliveredMessage) -> bool:
        """Whether a process that crashed before removing the message has already counted it."""
        seen = isinstance(message.delivery, Basic.GetOk) and message.delivery.redelivered
        fingerprint = _fingerprint(message)
        if not seen or not self._before[fingerprint]:
            return False
        self._before[fingerprint] -= 1
        return True


async def _taken(channel: aiormq.Channel, queue: str) -> DeliveredMessage | None:
    async with aiormq_connection.broker_call(RESPONSE_S_MAX):
        message = await channel.basic_get(queue)
    return message if isinstance(message.delivery, Basic.GetOk) else None


def _thrower(message: DeliveredMessage) -> str:
    """The queue that discarded the message, by its latest x-death entry.

    Clients choose their queues' names.
    """
    deaths = (message.header.properties.headers or {}).get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    queue = str(latest.get("queue", "")) if isinstance(latest, dict) else ""
    if input_queue_of(queue) in _OURS:
        return queue
    first, _, rest = queue.partition(".")
    if first != NAMES.client:
        return _OTHERS
    name, dot, _ = rest.partition(".")
    return f"a queue of {first}.{shortened(name)}" if dot else f"a queue of {first}"


def _fingerprint(message: DeliveredMessage) -> str:
    """Identifies a message of a batch.

    A redelivery has the same fingerprint; identical copies count separately.
    """
    properties = message.header.properties
    deaths = (properties.headers or {}).get("x-death")
    return hashlib.sha256(repr((properties.message_id, deaths)).encode() + message.body).hexdigest()[:16]


def _parsed(body: bytes) -> tuple[Counter[str], Counter[str]]:
    document = json.loads(body)
    return Counter(document["lost"]), Counter(document["before"])

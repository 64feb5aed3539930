"""The dead letters of every service: looked at without being used up, or held one by one to be acted on.

A service that gives a message up writes into its headers why, since when and from which queue. What the broker itself
gave up (a consumer died over it again and again, a bounded queue was full) carries the broker's own words instead.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import aiormq
from aiormq.exceptions import ChannelClosed
from pamqp.commands import Basic

from chassis import amqp
from chassis.bus import BusUnavailable
from chassis.deliveries import parcel_of
from chassis.retry import DEAD, LEFT_OUT, REJECTED
from contracts.envelope import Parcel
from contracts.identity import derived_id
from contracts.message import REGISTRY
from contracts.origin import COPYING_HEADERS, HANDED_BACK, HOP_HEADERS, Origin, origin_before
from contracts.untrusted import NAME_BYTES_MAX, shortened, text
from journey.broker_deaths import BY_BROKER, broker_death, origin_by_broker
from journey.infra.model import InfrastructureUnavailable
from journey.plain import headers_shown

HEARTBEAT_S = 20
_NEVER = datetime.min.replace(tzinfo=UTC)
ANSWER_S_MAX = 30.0
# What is written into a message's headers when it fails; without it the message is as it was first sent.
FAILURE_HEADERS = HOP_HEADERS | {"error", "error_type", "trace", "origin_queue", "died_at", LEFT_OUT}


@dataclass(frozen=True)
class DeadLetter:
    """A message that `service` gave up, and why. `parcel` is as it lies in the dead queue."""

    service: str
    parcel: Parcel
    origin_queue: str
    error: str
    error_type: str
    attempts: int
    died_at: datetime | None
    journey_id: str
    # What the broker wrote about it, if it was the broker that gave it up.
    death: Mapping[str, Any] | None = None

    @property
    def queue(self) -> str:
        """Where it lies. What a stranger sent in vain lies apart from the other dead letters."""
        rejected = f"{self.service}.{REJECTED}"
        is_rejected = (self.parcel.exchange, self.parcel.routing_key) == (DEAD, rejected)
        return rejected if is_rejected else f"{self.service}.{DEAD}"

    def sort_key(self) -> datetime:
        """The time of death; a letter without one comes first."""
        return self.died_at or _NEVER

    @property
    def by_broker(self) -> bool:
        return self.death is not None

    @cached_property
    def id(self) -> str:
        """The message's id. A message without one is named after what it is, so that it can be pointed at too."""
        return self.parcel.message_id or derived_id(self.service, self.origin_queue, self.died_at, self.parcel.body)

    @property
    def type(self) -> str:
        return self.parcel.type or "(no type)"

    @property
    def brief(self) -> "DeadLetter":
        """The same without body and headers, for long lists of letters that are chosen or gone."""
        return replace(self, parcel=replace(self.parcel, message_id=self.id, headers={}, body=b""), death=None)

    @property
    def trace(self) -> str:
        return str(self.parcel.headers.get("trace", ""))

    @property
    def subject(self) -> str:
        """What the message is about, by its own word."""
        return shortened(text(self.parcel.headers.get("subject"), NAME_BYTES_MAX))

    @property
    def headers_shown(self) -> dict[str, str]:
        """The headers as a person reads them, without the error and its trace."""
        return {
            name: text for name, text in headers_shown(self.parcel.headers).items() if name not in ("error", "trace")
        }

    @property
    def said_at(self) -> datetime | None:
        """When the message was first said, by its own word."""
        return _time(self.parcel.headers.get("time"))

    @cached_property
    def origin(self) -> Origin:
        """How it first arrived at the service, as far as somebody who may be believed says so."""
        if self.death is not None:
            return origin_by_broker(self.service, self.parcel, self.death)
        if self.parcel.user_id != self.service:  # put here by hand, or by another service
            return Origin(self.parcel.user_id or "", self.parcel.exchange, self.parcel.routing_key)
        origin = Origin.of(replace(self.parcel, exchange=HANDED_BACK), self.service)
        return origin if origin.key else self._origin_without_key(origin.user)

    def _origin_without_key(self, user: str) -> Origin:
        """An earlier version kept the user only: of a message that had been on the ladder, the service itself."""
        contract = REGISTRY.get(self.type)
        if contract is None:
            return Origin(user, "", "")
        told = origin_before(contract)
        climbed = user == self.service and (self.attempts > 1 or self.parcel.postponed > 0)
        return told if climbed else replace(told, user=user)

    @property
    def as_it_failed(self) -> Parcel:
        """The message as it first arrived, with the sender whom the broker vouched for then."""
        origin = self.origin
        headers = self._own_headers | ({origin.detour: ""} if origin.detour else {})
        return replace(
            self.revived, exchange=origin.exchange, routing_key=origin.key, headers=headers, user_id=origin.user
        )

    @property
    def revived(self) -> Parcel:
        """The message as it was first sent, byte for byte, addressed to the queue that it came from and no other.

        Its headers say how it first arrived: the service that gets it back checks that again.
        """
        return replace(
            self.parcel,
            exchange=HANDED_BACK,
            routing_key=self.origin_queue,
            message_id=self.id,
            headers=self._own_headers | self.origin.headers(),
            user_id=None,
        )

    @property
    def _own_headers(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in self.parcel.headers.items()
            if key not in FAILURE_HEADERS and not key.startswith("x-") and key.lower() not in COPYING_HEADERS
        }


def letter_of(service: str, parcel: Parcel) -> DeadLetter:
    """Read the headers of what lies in the dead queue of a service."""
    headers = parcel.headers
    if death := broker_death(service, headers):
        reason = str(death.get("reason", ""))
        return DeadLetter(
            service,
            parcel,
            origin_queue=str(death.get("queue", "")),
            error=BY_BROKER.get(reason, f"the broker gave it up: {reason}"),
            error_type=reason,
            attempts=replace(parcel, exchange=str(death.get("exchange", ""))).attempt,
            died_at=_time(death.get("time")),
            journey_id=_journey(parcel),
            death=death,
        )
    return DeadLetter(
        service,
        parcel,
        origin_queue=str(headers.get("origin_queue", "")),
        error=str(headers.get("error", "unknown: it was put here by hand")),
        error_type=str(headers.get("error_type", "")),
        attempts=parcel.attempt,
        died_at=_time(headers.get("died_at")),
        journey_id=_journey(parcel),
    )


def _time(value: object) -> datetime | None:
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _journey(parcel: Parcel) -> str:
    """The same rule as when the message is handled: a message without a correlation id begins its subject's journey."""
    known = parcel.correlation_id or text(parcel.headers.get("subject"), NAME_BYTES_MAX)
    if known or parcel.type not in REGISTRY:
        return shortened(known)
    try:
        body = json.loads(parcel.body)
    except (ValueError, RecursionError):
        return ""
    named = body.get(REGISTRY[parcel.type].SUBJECT) if isinstance(body, dict) else None
    return shortened(named) if isinstance(named, str | int) else ""


@dataclass(frozen=True)
class Held:
    """A dead letter in our hands: nobody else sees it until it is removed or given back. `left`: how many more the
    queue holds that nobody holds."""

    letter: DeadLetter
    tag: int
    left: int


class DeadQueue:
    """A queue of dead letters, on a channel of its own. What is not removed is back there in the end."""

    def __init__(self, channel: aiormq.Channel, queue: str) -> None:
        self._channel, self._queue = channel, queue

    async def take(self) -> Held | None:
        """The next letter that nobody holds; None when there is none."""
        try:
            async with amqp.answered(ANSWER_S_MAX):
                message = await self._channel.basic_get(self._queue)
        except ChannelClosed as error:
            raise InfrastructureUnavailable(f"queue {self._queue}: {error}", "run `journey topology apply`") from None
        if not isinstance(message.delivery, Basic.GetOk):
            return None
        parcel = parcel_of(message.delivery, message.header, message.body)
        letter = letter_of(self._queue.partition(".")[0], parcel)
        return Held(letter, message.delivery_tag or 0, message.delivery.message_count or 0)

    async def remove(self, held: Collection[Held]) -> None:
        for each in held:
            async with amqp.answered(ANSWER_S_MAX):
                await self._channel.basic_ack(each.tag)

    async def give_back(self) -> None:
        """All that is still held. Closing would do it too, but some brokers count that as a failed delivery."""
        async with amqp.answered(ANSWER_S_MAX):
            await self._channel.basic_nack(0, multiple=True, requeue=True)


@asynccontextmanager
async def connected(amqp_url: str) -> AsyncIterator[amqp.Connection]:
    """A connection to the broker; raises InfrastructureUnavailable with the remedy when it is away or goes away."""
    connection = amqp.Connection(amqp_url, "dead letters", HEARTBEAT_S)
    try:
        async with amqp.answered(amqp.CONNECT_S_MAX):
            await connection.open()
        yield connection
    except BusUnavailable as error:
        address = urlsplit(amqp_url)
        raise InfrastructureUnavailable(
            f"the broker at {address.hostname}:{address.port or 5672} does not answer: {error}",
            "no message is lost; see that it runs (`journey up`), then try again",
        ) from None
    finally:
        await amqp.tried(connection.close())


@asynccontextmanager
async def dead_queue(connection: amqp.Connection, queue: str) -> AsyncIterator[DeadQueue]:
    """Hold letters of one queue; what was not removed goes back at the end, and also when we are killed."""
    async with amqp.answered(ANSWER_S_MAX):
        channel = await connection.channel()
    held = DeadQueue(channel, queue)
    try:
        yield held
    finally:
        if not channel.is_closed:
            await amqp.tried(held.give_back())
            await amqp.tried(channel.close())


def queues_of(services: Iterable[str]) -> list[str]:
    return [f"{service}.{name}" for service in services for name in (DEAD, REJECTED)]


async def each(amqp_url: str, queues: Iterable[str]) -> AsyncGenerator[DeadLetter, None]:
    """Every dead letter of these queues, one queue after the other, with one letter in memory at a time.

    They stay where they are. The reader holds those of a queue until it has read all of it: others may see fewer.
    """
    async with connected(amqp_url) as connection:
        for name in queues:
            async with dead_queue(connection, name) as queue:
                while held := await queue.take():
                    yield held.letter


async def read(
    amqp_url: str, services: Iterable[str], is_wanted: Callable[[DeadLetter], bool] = lambda letter: True
) -> list[DeadLetter]:
    """The wanted dead letters of these services in memory, the oldest first."""
    async with aclosing(each(amqp_url, queues_of(services))) as letters:
        return sorted([letter async for letter in letters if is_wanted(letter)], key=DeadLetter.sort_key)

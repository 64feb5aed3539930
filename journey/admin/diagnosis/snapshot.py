"""A snapshot of services, queues and dead letters, and where it shows an awaited message to be."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

import httpx

from chassis.bus.retry_ladder import DEAD
from chassis.messaging.envelope import OPERATOR
from journey.admin.broker.input_queues import by_input_queue, waiting_for_update
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin, Depth
from journey.admin.dead_letters import oldest as dead_letter_reader
from journey.admin.dead_letters import reader
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.oldest import Oldest
from journey.admin.diagnosis.pending_messages import PendingDelivery, concerns
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import SERVICES, shop_topology

LADDER_QUEUES = tuple(rung.name for rung in shop_topology().ladder)

NO_RESPONSE = "it does not respond"
ALARM_REMEDY = (
    "free memory or disk space on the broker (`rabbitmqctl status` shows its limits); publishing then resumes"
)
# The broker counts its queues every few seconds, so an empty count proves nothing about a younger message.
COUNTED_AFTER = timedelta(seconds=30)
_RESPONSE_S_MAX = 2.0
_BROKER_S_MAX = 5.0
_DEAD_LETTERS_OF_ORDER_MAX = 200


class LocationKind(StrEnum):
    """Where an awaited message is, as far as this shows without consuming it."""

    DEAD = "dead letter"
    SERVICE_DOWN = "service down"
    NOT_READY = "service not ready"
    PAUSED = "paused"
    NEXT_RELEASE = "waits for an update of the service"
    BLOCKED = "held back by an alarm of the broker"
    ON_ITS_WAY = "on its way or being retried"
    UNREAD = "perhaps a dead letter"
    NOWHERE = "nowhere to be seen"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Location:
    """A description, and the command that helps."""

    where: LocationKind
    sentence: str
    remedy: str


@dataclass(frozen=True)
class ShopSnapshot:
    """`unready`: service -> reason.

    `depths` and `dead_letters` are None if the broker did not respond. `unread`: queue -> number of those
    that are not in `dead_letters`. `alarms`: why the broker blocks publishers. `for_update`: queue -> number
    of messages that the running release of its service does not consume.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    unready: Mapping[str, str] = field(default_factory=dict)
    depths: Mapping[str, Depth] | None = None
    dead_letters: Sequence[DeadLetter] | None = None
    alarms: Sequence[str] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    for_update: Mapping[str, int] = field(default_factory=dict)

    @property
    def blocked(self) -> str:
        """The alarms as a message; empty if publishing works."""
        return f"publishers are blocked: {' and '.join(self.alarms)}" if self.alarms else ""

    @property
    def broker_is_silent(self) -> bool:
        return self.depths is None or self.dead_letters is None

    def waiting(self, queue: str) -> int | None:
        """Ready and unacknowledged messages of a queue; None if unknown."""
        depth = (self.depths or {}).get(queue)
        return None if depth is None or depth.ready is None else depth.ready + (depth.unacked or 0)

    @property
    def on_the_ladder(self) -> int | None:
        """Messages of all services on the retry ladder; None if unknown."""
        counts = [self.waiting(rung) for rung in LADDER_QUEUES]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def waits_for_update(self) -> list[str]:
        """One sentence for each queue whose messages no running instance consumes, with the remedy."""
        return [for_update_sentence(queue, count) for queue, count in self.for_update.items()]

    def with_queues(self, counted: "ShopSnapshot") -> "ShopSnapshot":
        """The same, with the queues and alarms of another snapshot."""
        return replace(self, depths=counted.depths, alarms=counted.alarms, for_update=counted.for_update)

    def dead_letter_for(self, awaited: PendingDelivery) -> DeadLetter | None:
        of_it = (
            each
            for each in self.dead_letters or ()
            if (each.service, each.id) == (awaited.service, awaited.message.id)
        )
        return next(of_it, None)


async def take_snapshot(endpoints: ShopEndpoints, http: httpx.AsyncClient, order_id: str) -> ShopSnapshot:
    """Ask every service and the broker at once. Only dead letters about this order are kept."""
    now, queues, dead_letters = await asyncio.gather(
        readiness(endpoints, http), counted(endpoints), _dead_letters_about(endpoints, order_id)
    )
    return replace(now.with_queues(queues), dead_letters=dead_letters)


async def readiness(endpoints: ShopEndpoints, http: httpx.AsyncClient) -> ShopSnapshot:
    """What the services report; the broker is not asked."""
    responses = await asyncio.gather(*(why_unready(http, address) for address in endpoints.http.values()))
    why = dict(zip(endpoints.http, responses, strict=True))
    asked = {service: _readiest(service, why) for service in SERVICES}
    return ShopSnapshot(
        addresses={service: endpoints.http[instance] for service, instance in asked.items()},
        unready={service: why[instance] for service, instance in asked.items() if why[instance]},
    )


async def look_at(http: httpx.AsyncClient, addresses: Mapping[str, str]) -> dict[str, str]:
    """Service -> the instance that is ready, or most likely to respond."""
    responses = await asyncio.gather(*(why_unready(http, address) for address in addresses.values()))
    why = dict(zip(addresses, responses, strict=True))
    return {
        service: _readiest(service, why) for service in dict.fromkeys(name.partition(".")[0] for name in why)
    }


def locate(awaited: PendingDelivery, now: ShopSnapshot, at: datetime, since: datetime) -> Location:
    """Where the message is. `at`: the current time; `since`: the start of the journey."""
    queue, service = contents(awaited.queue, now), awaited.service
    if dead_letter := now.dead_letter_for(awaited):
        gave_up = f"{service} dead-lettered it after {dead_letter.attempts} attempts: {dead_letter.error}"
        return Location(LocationKind.DEAD, gave_up, remedy(dead_letter))
    if why := now.unready.get(service):
        where = LocationKind.SERVICE_DOWN if why == NO_RESPONSE else LocationKind.NOT_READY
        return Location(
            where, f"{service} is not ready: {why}; {queue}", "`journey up` starts what is not running"
        )
    if now.broker_is_silent:
        return Location(LocationKind.UNKNOWN, queue, "check that the broker is running: `journey up`")
    depth = (now.depths or {}).get(awaited.queue)
    if now.blocked and not now.waiting(awaited.queue):
        return Location(LocationKind.BLOCKED, f"{now.blocked}; {queue}", ALARM_REMEDY)
    if depth is None:
        return Location(
            LocationKind.NOWHERE, queue, f"`journey topology apply`, then {_backfill(service, since)}"
        )
    if count := now.for_update.get(awaited.routed_to):
        sentence = for_update_sentence(awaited.routed_to, count)
        return Location(LocationKind.NEXT_RELEASE, sentence, f"update {service} again")
    if awaited.is_effect and depth.consumers == 0:
        paused = f"{service} has paused its effects, because the external service does not respond; {queue}"
        return Location(
            LocationKind.PAUSED, paused, "none: it resumes by itself when the external service responds"
        )
    ladder = now.on_the_ladder
    if now.waiting(awaited.queue) == 0 and ladder == 0 and at - awaited.message.at > COUNTED_AFTER:
        unread = now.unread.get(f"{service}.{DEAD}", 0)
        return _unread(awaited, unread) if unread else _nowhere(awaited, now, since)
    retried = f"; the retry ladder holds {_count(ladder)} of all services, possibly this one"
    return Location(
        LocationKind.ON_ITS_WAY,
        f"on its way or being retried: {queue}{'' if ladder == 0 else retried}",
        f"`journey watch {awaited.message.subject}`",
    )


def for_update_sentence(queue: str, count: float) -> str:
    """What waits in a queue of added messages without a consumer, and until when."""
    service = queue.partition(".")[0]
    return (
        f"{queue} holds {_count(round(count))} of types that the running release of {service} does not know: "
        f"they wait for its next update, and are then carried out"
    )


def remedy(dead_letter: DeadLetter) -> str:
    """What to do about a dead letter."""
    return (
        f"`journey dlq show {dead_letter.id}`; once the cause is fixed: `journey dlq redrive "
        f"{dead_letter.id}`"
    )


def _unread(awaited: PendingDelivery, count: int) -> Location:
    sentence = f"possibly one of {count:,} unread dead letters of {awaited.service}"
    return Location(
        LocationKind.UNREAD, sentence, f"`journey explain {awaited.message.subject}` reads them all"
    )


def _nowhere(awaited: PendingDelivery, now: ShopSnapshot, since: datetime) -> Location:
    """Perhaps its sender has not published it: it does so when its cause is redelivered."""
    sender = awaited.message.by
    if why := now.unready.get(sender):
        unsaid = f"perhaps {sender} has not published it yet: {sender} is not ready: {why}"
        return Location(LocationKind.NOWHERE, unsaid, "`journey up` starts what is not running")
    lost = f"{awaited.queue} and the retry ladder are empty, and it is no dead letter: it was lost or dropped"
    return Location(
        LocationKind.NOWHERE,
        lost,
        f"`journey topology plan`, `journey dlq audit`, then {_backfill(awaited.service, since)}",
    )


def _backfill(service: str, since: datetime) -> str:
    return f"`journey backfill {service} --since {since.isoformat(timespec='seconds')}`"


def contents(name: str, now: ShopSnapshot) -> str:
    """The contents of a queue, as text."""
    if now.depths is None:
        return "the broker does not report its queues"
    depth = now.depths.get(name)
    if depth is None:
        return f"the queue {name} is missing"
    in_hand = f", {depth.unacked} of them unacknowledged" if depth.unacked else ""
    return f"{name} holds {_count(now.waiting(name))}{in_hand}"


def _count(number: int | None) -> str:
    return "an unknown number" if number is None else f"{number} message{'' if number == 1 else 's'}"


def _readiest(service: str, why: Mapping[str, str]) -> str:
    """Of several instances (payment_svc, payment_svc.2), the one to ask: ready, else responding, else any."""
    instances = [name for name in why if name.partition(".")[0] == service]
    return min(instances, key=lambda name: (why[name] == NO_RESPONSE, bool(why[name])))


async def why_unready(http: httpx.AsyncClient, address: str) -> str:
    """The reason that the service gives; empty if it is ready."""
    return await reason_in(http.get(f"{address}/readyz", timeout=_RESPONSE_S_MAX))


async def reason_in(requested: Awaitable[httpx.Response]) -> str:
    """Why a service is not ready, by its response to `/readyz`; empty if it is ready."""
    try:
        response = await requested
        return "" if response.is_success else str(response.json().get("detail") or response.status_code)
    except httpx.HTTPError:
        return NO_RESPONSE
    except ValueError:
        return f"it responds with {response.status_code}, and not like a service"


async def counted(endpoints: ShopEndpoints) -> ShopSnapshot:
    """Queue depths and alarms only. The user `operator` may read them in every shop."""
    try:
        async with asyncio.timeout(_BROKER_S_MAX), BrokerAdmin(endpoints.management_url) as admin:
            depths = await admin.depths(endpoints.vhost)
            return ShopSnapshot(
                depths=by_input_queue(depths),
                alarms=await admin.alarms(),
                for_update=waiting_for_update(depths),
            )
    except (AdminUnavailable, TimeoutError):
        return ShopSnapshot()


async def oldest_dead_letters(endpoints: ShopEndpoints, most: int) -> Oldest | None:
    """None if the broker does not respond."""
    try:
        return await dead_letter_reader.oldest(
            endpoints.amqp_url(OPERATOR), list(SERVICES), dead_letters_max=most
        )
    except InfrastructureUnavailable:
        return None


async def _dead_letters_about(endpoints: ShopEndpoints, order_id: str) -> Sequence[DeadLetter] | None:
    """The oldest ones. Reads every dead letter, one at a time."""
    queues = reader.queues_of(SERVICES)
    found: list[DeadLetter] = []
    try:
        async with aclosing(reader.each(endpoints.amqp_url(OPERATOR), queues)) as dead_letters:
            async for dead_letter in dead_letters:
                if concerns(dead_letter, order_id) and len(found) < _DEAD_LETTERS_OF_ORDER_MAX:
                    found.append(dead_letter)
    except InfrastructureUnavailable:
        return None
    return sorted(found, key=DeadLetter.sort_key)

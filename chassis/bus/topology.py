"""Exchanges, queues, bindings, policies, users and rights, derived from the service definitions.

An operator applies it (journey/admin/broker/management.py); services declare nothing. A queue's only argument
is its type, because arguments cannot be changed later; everything else is a policy.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from chassis.bus.retry_ladder import DEAD, REJECTED, Rung
from chassis.bus.topology_model import Binding, BrokerUser, Definition, Policy, Queue, QueueBounds, Topology
from chassis.messaging.envelope import CLIENT_EVENTS, COMMANDS, EVENTS, OPERATOR
from chassis.messaging.message import Command, Event
from chassis.messaging.senders import CLIENT as CLIENT
from chassis.messaging.senders import exactly

if TYPE_CHECKING:
    from chassis.core.definition import ServiceDefinition
    from chassis.messaging.catalog import Catalog

UNROUTABLE = "unroutable"
JOURNAL = "journal"
AUDIT = "audit"
# Messages that bounded queues drop wait in LOST until a tool counts them. LOSSES holds the totals, in one
# message. If LOST itself drops a message, UNCOUNTED gets one: then the totals are too low. See
# journey/admin/broker/losses.py.
LOST = "lost"
UNCOUNTED = "lost.uncounted"
LOSSES = "losses"

# A crashed consumer uses up one delivery of every unacknowledged message. We declare a message poison after
# far fewer.
DELIVERY_LIMIT = 100
DELIVERY_LIMIT_NONE = 10**6
DEAD_BYTES_MAX = 48 * 2**20
# rejected messages of clients: bounded, and kept apart from other dead letters
REJECTED_BYTES_MAX = 16 * 2**20
REJECTED_MESSAGES_MAX = 10_000
UNROUTABLE_BYTES_MAX = 16 * 2**20
LOST_BYTES_MAX = 16 * 2**20
JOURNAL_BYTES_MAX = 1024 * 2**20
AUDIT_BYTES_MAX = 64 * 2**20  # some 150,000 actions of operators
JOURNAL_AGE = "30D"
# Limits of each queue of a client program, and of all queues of a virtual host: a broker cannot count them by
# user.
CLIENT_MESSAGES_MAX = 10_000
CLIENT_BYTES_MAX = 4 * 2**20
CLIENT_UNUSED_MS = 24 * 3_600 * 1000
CLIENT_FEED_BYTES_MAX = 16 * 2**20  # events on their way to the queues of clients; usually empty
QUEUES_MAX = 256
# No routing key here: it would also apply to dead letters of a client's queue that names its own dead-letter
# exchange.
_COUNTED: Definition = {"dead-letter-exchange": LOST}
_TRIES: Definition = {"delivery-limit": DELIVERY_LIMIT, "dead-letter-exchange": DEAD}
# Without a length limit reject-publish never rejects; at-least-once dead-lettering only requires the setting.
_SAFE: Definition = _TRIES | {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}


def build(services: Iterable["ServiceDefinition"], delay_scale: float = 1.0) -> Topology:
    """The complete topology. `delay_scale` shortens the retry ladder in tests.

    Raises ValueError for no service, and for services of different programs.
    """
    services = tuple(services)
    catalog = _catalog(services)
    ladder = _ladder(services)
    rungs = [rung.name for rung in ladder]
    queues = [
        Queue(JOURNAL, "stream"),
        Queue(AUDIT, "stream"),
        *map(Queue, (UNROUTABLE, CLIENT_EVENTS, *rungs)),
    ]
    queues += map(Queue, (LOST, UNCOUNTED, LOSSES))
    bindings = [Binding(EVENTS, "#", JOURNAL), Binding(UNROUTABLE, "#", UNROUTABLE), Binding(LOST, "#", LOST)]
    bindings += [Binding(rung, "#", rung) for rung in rungs]
    bindings += [Binding(EVENTS, event.TYPE, CLIENT_EVENTS) for event in catalog.read_by_clients()]
    for service in services:
        dead, rejected = service.dead_queue, service.rejected_queue
        queues += [Queue(name) for name in (service.events_queue, service.commands_queue, dead, rejected)]
        bindings += [Binding(DEAD, service.name, dead), Binding(DEAD, rejected, rejected)]
        for consumed in service.by_type:
            command = issubclass(consumed, Command)
            queue = service.commands_queue if command else service.events_queue
            bindings.append(Binding(COMMANDS if command else EVENTS, consumed.TYPE, queue))
    return Topology(
        exchanges=(COMMANDS, EVENTS, CLIENT_EVENTS, *rungs, DEAD, UNROUTABLE, LOST),
        queues=tuple(queues),
        bindings=tuple(bindings),
        policies=(*_ladder_policies(ladder, delay_scale), *_policies(services)),
        ladder=ladder,
        users=(
            *map(_service_user, services),
            _client_user(catalog),
            BrokerUser(OPERATOR, ".*", ".*", ".*", {}, "administrator"),
        ),
    )


def _catalog(services: tuple["ServiceDefinition", ...]) -> "Catalog":
    if not services:
        raise ValueError("no services; a topology is derived from at least one definition")
    first, *others = services
    for other in others:
        if other.catalog is not first.catalog:
            places = f"{first.catalog.place} and {other.catalog.place}"
            raise ValueError(
                f"{first.name} and {other.name} have different catalogs, of {places}; give them one"
            )
    return first.catalog


def given_up_key(queue: str) -> str:
    """The routing key under which the broker dead-letters a message of this inbox to the exchange `dead`.

    Clients can publish to every command queue, and can set `expiration` so that the broker dead-letters the
    message unread. Such messages go to the rejected queue, like other faulty messages of clients. Others
    should not arrive here, because a consumer dead-letters a poison message long before the delivery limit.
    """
    service, _, kind = queue.partition(".")
    return f"{service}.{REJECTED}" if kind == "commands" else service


def _ladder(services: tuple["ServiceDefinition", ...]) -> tuple[Rung, ...]:
    """The rungs of all services, each once."""
    first: dict[str, tuple[Rung, str]] = {}
    for service in services:
        for rung in service.retry_ladder.rungs:
            other, owner = first.setdefault(rung.name, (rung, service.name))
            if other != rung:
                delays = f"{other.delay_ms} ms in {owner} and {rung.delay_ms} ms in {service.name}"
                raise ValueError(f"{rung.name!r} waits {delays}; give one of them another name")
    return tuple(rung for rung, _ in first.values())


def _ladder_policies(ladder: tuple[Rung, ...], delay_scale: float) -> Iterator[Policy]:
    for rung in ladder:
        ttl_ms = max(1, int(rung.delay_ms * delay_scale))
        waits: Definition = {**_SAFE, "message-ttl": ttl_ms, "dead-letter-exchange": ""}
        yield Policy(rung.name, f"^{_literal(rung.name)}$", waits)


def _inbox(bounds: QueueBounds | None) -> Definition:
    if bounds is None:
        return _SAFE
    length: Definition = {"max-length": bounds.messages_max, "max-length-bytes": bounds.bytes_max}
    return _TRIES | length | {"overflow": "drop-head"}


def _policies(services: tuple["ServiceDefinition", ...]) -> tuple[Policy, ...]:
    # Tools that show dead letters requeue them each time; this must not use up deliveries.
    looked_at: Definition = {"overflow": "drop-head", "delivery-limit": DELIVERY_LIMIT_NONE}
    kept: Definition = looked_at | _COUNTED
    overflow: Definition = {"dead-letter-exchange": "", "dead-letter-routing-key": UNCOUNTED}
    limits = {service.name: _inbox(service.queue_bounds) for service in services}
    inboxes = [
        Policy(
            policy,
            f"^{_literal(queue)}$",
            {**limits[service.name], "dead-letter-routing-key": given_up_key(queue)},
        )
        for service in services
        for policy, queue in (
            (service.name, service.events_queue),
            (f"{service.name} commands", service.commands_queue),
        )
    ]
    return (
        *inboxes,
        Policy(
            "rejected messages",
            f"^({'|'.join(limits)})[.]{REJECTED}$",
            {"max-length": REJECTED_MESSAGES_MAX, "max-length-bytes": REJECTED_BYTES_MAX, **kept},
        ),
        Policy(
            "dead letters", f"^({'|'.join(limits)})[.]{DEAD}$", {"max-length-bytes": DEAD_BYTES_MAX, **kept}
        ),
        Policy(UNROUTABLE, f"^{UNROUTABLE}$", {"max-length-bytes": UNROUTABLE_BYTES_MAX, **kept}),
        Policy(LOST, f"^{LOST}$", {**looked_at, "max-length-bytes": LOST_BYTES_MAX, **overflow}),
        Policy("totals of losses", f"^({_literal(UNCOUNTED)}|{LOSSES})$", {"max-length": 1, **looked_at}),
        Policy(JOURNAL, f"^{JOURNAL}$", _stream(JOURNAL_BYTES_MAX) | {"max-age": JOURNAL_AGE}),
        # No exchange is bound to it: only an operator may publish, directly to the queue.
        Policy(AUDIT, f"^{AUDIT}$", _stream(AUDIT_BYTES_MAX)),
        # `events` needs no alternate exchange: the journal takes every event. `commands` has none either,
        # because an unroutable command must be returned to its sender. Only dead letters without a queue are
        # kept.
        Policy(DEAD, f"^{DEAD}$", {"alternate-exchange": UNROUTABLE}, apply_to="exchanges"),
        *_client_policies(),
    )


def _client_policies() -> tuple[Policy, ...]:
    """A client's queue is bounded, and expires when it is not used for a day.

    A broker does not apply a policy to a stream if the policy has a key that streams do not support, such as
    `expires`. The second policy bounds streams.

    Events reach the exchange of clients through a queue that dead-letters each of them at once. The broker
    confirms an event to the service when this queue has it. It does not wait for the queues of clients, which
    may reject the event: a client chooses that with the argument `x-overflow`, which no policy overrides.
    """
    feed: Definition = {
        "message-ttl": 0,
        "dead-letter-exchange": CLIENT_EVENTS,
        "max-length-bytes": CLIENT_FEED_BYTES_MAX,
        "overflow": "drop-head",
        "delivery-limit": DELIVERY_LIMIT,
    }
    queues: Definition = {
        "max-length": CLIENT_MESSAGES_MAX,
        "max-length-bytes": CLIENT_BYTES_MAX,
        "overflow": "drop-head",
        "message-ttl": CLIENT_UNUSED_MS,
        "expires": CLIENT_UNUSED_MS,
        **_COUNTED,
    }
    streams = _stream(CLIENT_BYTES_MAX) | {"max-age": "1D"}
    pattern = f"^{CLIENT}[.]"
    return (
        Policy("events for clients", f"^{CLIENT_EVENTS}$", feed),
        Policy("queues of clients", pattern, queues, priority=2),
        Policy("streams of clients", pattern, streams, priority=1),
    )


def _stream(bytes_max: int) -> Definition:
    """A bounded stream. It drops its oldest messages one segment at a time."""
    return {"max-length-bytes": bytes_max, "stream-max-segment-size-bytes": bytes_max // 16}


def _service_user(service: "ServiceDefinition") -> BrokerUser:
    """A service's user. It may publish what messaging/senders.py allows,
    and its own messages to its retry ladder.
    """
    name = service.name
    rungs = service.retry_ladder.names
    ladder = "|".join(map(_literal, rungs))
    return BrokerUser(
        name,
        configure="^$",
        write=f"^({COMMANDS}|{EVENTS}|{ladder}|{DEAD})$",
        read=f"^{name}[.](events|commands|dead)$",
        topics={
            **_sends(name, service.catalog),
            DEAD: f"^{name}([.]{REJECTED})?$",
            **dict.fromkeys(rungs, f"^{name}[.]"),
        },
    )


def _client_user(catalog: "Catalog") -> BrokerUser:
    """The user of the shop's own tools, which place and cancel orders and consume events from their own
    queues.

    Its queues have one dot in their names; those of a client program have two
    (journey/admin/broker/client_users.py).
    """
    return BrokerUser(
        CLIENT,
        configure="^client[.][^.]+$",
        write=f"^({COMMANDS}|client[.][^.]+)$",
        read=f"^({CLIENT_EVENTS}|client[.][^.]+)$",
        topics=_sends(CLIENT, catalog),
    )


def _sends(role: str, catalog: "Catalog") -> dict[str, str]:
    """The permitted routing keys of each exchange. An exchange without a pattern accepts every key."""
    sent = catalog.sent_by(role)
    return {
        COMMANDS: exactly(each for each in sent if issubclass(each, Command)),
        EVENTS: exactly(each for each in sent if issubclass(each, Event)),
    }


def _literal(name: str) -> str:
    return name.replace(".", "[.]")

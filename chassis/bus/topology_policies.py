"""The policies of a topology: limits, retry delays, and what becomes of dropped and dead messages."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from chassis.bus.retry_ladder import DEAD, REJECTED, Rung
from chassis.bus.topology_model import Definition, Policy, QueueBounds
from chassis.messaging.partitions import PARTITION_SUFFIX, input_queue_of
from chassis.messaging.topology_names import TopologyNames

if TYPE_CHECKING:
    from chassis.core.definition import ServiceDefinition

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
# How long the journal keeps an event, if it does not reach its size first.
JOURNAL_KEPT = timedelta(days=30)
JOURNAL_AGE = f"{JOURNAL_KEPT.days}D"
# Limits of each queue of a client program.
CLIENT_MESSAGES_MAX = 10_000
CLIENT_BYTES_MAX = 4 * 2**20
CLIENT_UNUSED_MS = 24 * 3_600 * 1000
CLIENT_FEED_BYTES_MAX = 16 * 2**20  # events on their way to the queues of clients; usually empty
# Tools that show dead letters requeue them each time; this must not use up deliveries.
_LOOKED_AT: Definition = {"overflow": "drop-head", "delivery-limit": DELIVERY_LIMIT_NONE}


def policies(
    services: tuple["ServiceDefinition", ...],
    ladder: tuple[Rung, ...],
    *,
    names: TopologyNames,
    delay_scale: float,
) -> tuple[Policy, ...]:
    """All policies. `delay_scale` shortens the delays of the ladder's rungs."""
    return (
        *_of_ladder(ladder, names, delay_scale),
        *_of_services(services, names),
        *_of_system(names),
        *_of_clients(names),
    )


def given_up_key(queue: str) -> str:
    """The routing key with which the broker dead-letters a message of this queue to the exchange `dead`.

    Clients can publish to every command queue, and can set `expiration` so that the broker dead-letters the
    message unread. Such messages go to the rejected queue, like other faulty messages of clients. Others
    should not arrive here, because a consumer dead-letters a poison message long before the delivery limit.
    """
    service, _, kind = queue.partition(".")
    return f"{service}.{REJECTED}" if kind == "commands" else service


def _counted(names: TopologyNames) -> Definition:
    """What such a queue drops is counted (journey/admin/broker/losses.py).

    No routing key: it would also apply to dead letters of a client's queue that names its own dead-letter
    exchange.
    """
    return {"dead-letter-exchange": names.lost}


def _tries(names: TopologyNames) -> Definition:
    return {"delivery-limit": DELIVERY_LIMIT, "dead-letter-exchange": names.dead}


def _safe(names: TopologyNames) -> Definition:
    """Nothing is dropped.

    Without a length limit reject-publish never rejects; at-least-once dead-lettering only requires the
    setting.
    """
    return _tries(names) | {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}


def _of_ladder(ladder: tuple[Rung, ...], names: TopologyNames, delay_scale: float) -> Iterator[Policy]:
    for rung in ladder:
        ttl_ms = max(1, int(rung.delay_ms * delay_scale))
        waits: Definition = {**_safe(names), "message-ttl": ttl_ms, "dead-letter-exchange": ""}
        yield Policy(rung.name, f"^{literal(rung.name)}$", waits)


def _input_queue(bounds: QueueBounds | None, names: TopologyNames) -> Definition:
    if bounds is None:
        return _safe(names)
    length: Definition = {"max-length": bounds.messages_max, "max-length-bytes": bounds.bytes_max}
    return _tries(names) | length | {"overflow": "drop-head"}


def _kept(names: TopologyNames) -> Definition:
    return _LOOKED_AT | _counted(names)


def _of_services(services: tuple["ServiceDefinition", ...], names: TopologyNames) -> Iterator[Policy]:
    for service in services:
        limits = _input_queue(service.queue_bounds, names)
        for policy, queue in (
            (service.name, service.events_queue),
            (f"{service.name} commands", service.commands_queue),
        ):
            key: Definition = {"dead-letter-routing-key": given_up_key(queue)}
            yield Policy(policy, f"^{literal(queue)}{PARTITION_SUFFIX}$", limits | key)
        few = _input_queue(service.queue_bounds and service.queue_bounds.half, names)
        for queue in service.added_queues:
            added: Definition = {"dead-letter-routing-key": given_up_key(input_queue_of(queue))}
            yield Policy(queue, f"^{literal(queue)}$", few | added)
    every = "|".join(service.name for service in services)
    yield Policy(
        f"{names.policy_prefix}rejected messages",
        f"^({every})[.]{REJECTED}$",
        {"max-length": REJECTED_MESSAGES_MAX, "max-length-bytes": REJECTED_BYTES_MAX, **_kept(names)},
    )
    yield Policy(
        f"{names.policy_prefix}dead letters",
        f"^({every})[.]{DEAD}$",
        {"max-length-bytes": DEAD_BYTES_MAX, **_kept(names)},
    )


def _of_system(names: TopologyNames) -> Iterator[Policy]:
    """Those of the queues and exchanges that belong to no service. Most have the name of their queue."""
    lost = names.lost
    dead = names.dead
    overflow: Definition = {"dead-letter-exchange": "", "dead-letter-routing-key": names.uncounted}
    journal = _stream(JOURNAL_BYTES_MAX) | {"max-age": JOURNAL_AGE}
    unroutable = {"max-length-bytes": UNROUTABLE_BYTES_MAX, **_kept(names)}
    yield Policy(names.unroutable, f"^{names.unroutable}$", unroutable)
    yield Policy(lost, f"^{lost}$", {**_LOOKED_AT, "max-length-bytes": LOST_BYTES_MAX, **overflow})
    totals = f"^({literal(names.uncounted)}|{names.losses})$"
    yield Policy(f"{names.policy_prefix}totals of losses", totals, {"max-length": 1, **_LOOKED_AT})
    yield Policy(names.journal, f"^{names.journal}$", journal)
    # No exchange is bound to it: only an operator may publish, directly to the queue.
    yield Policy(names.audit, f"^{names.audit}$", _stream(AUDIT_BYTES_MAX))
    # The exchange of events needs no alternate exchange: the journal takes every event. That of commands has
    # none either, because an unroutable command must be returned to its sender. Only dead letters without a
    # queue are kept.
    yield Policy(dead, f"^{dead}$", {"alternate-exchange": names.unroutable}, apply_to="exchanges")


def _of_clients(names: TopologyNames) -> tuple[Policy, ...]:
    """A client's queue is bounded, and expires when it is not used for a day.

    A broker does not apply a policy to a stream if the policy has a key that streams do not support, such as
    `expires`. The second policy bounds streams.

    Events reach the exchange of clients through a queue that dead-letters each of them at once. The broker
    confirms an event to the service when this queue has it. It does not wait for the queues of clients, which
    may reject the event: a client chooses that with the argument `x-overflow`, which no policy overrides.
    """
    feed: Definition = {
        "message-ttl": 0,
        "dead-letter-exchange": names.client_events,
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
        **_counted(names),
    }
    streams = _stream(CLIENT_BYTES_MAX) | {"max-age": "1D"}
    pattern = f"^{names.client}[.]"
    prefix = names.policy_prefix
    return (
        Policy(f"{prefix}events for clients", f"^{names.client_events}$", feed),
        Policy(f"{prefix}queues of clients", pattern, queues, priority=2),
        Policy(f"{prefix}streams of clients", pattern, streams, priority=1),
    )


def _stream(bytes_max: int) -> Definition:
    """A bounded stream. It drops its oldest messages one segment at a time."""
    return {"max-length-bytes": bytes_max, "stream-max-segment-size-bytes": bytes_max // 16}


def literal(name: str) -> str:
    """A name as a regular expression that matches this name only."""
    return name.replace(".", "[.]")

"""Exchanges, queues, bindings, policies, users and rights, derived from the service definitions.

An operator applies it (journey/admin/broker/management.py); services declare nothing. A queue's only argument
is its type, because arguments cannot be changed later; everything else is a policy.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chassis.bus.partitioning import partitioned
from chassis.bus.retry_ladder import REJECTED, Rung
from chassis.bus.topology_model import Binding, BrokerUser, Queue, Topology
from chassis.bus.topology_policies import literal, policies
from chassis.messaging.catalog import Catalog
from chassis.messaging.message import Command, Event
from chassis.messaging.partitions import INPUT_QUEUE_SUFFIX
from chassis.messaging.senders import CLIENT, OPERATOR, exactly

if TYPE_CHECKING:
    from chassis.core.definition import ServiceDefinition

QUEUES_MAX = 256  # of a virtual host, with those of client programs


def build(services: Iterable["ServiceDefinition"], delay_scale: float = 1.0) -> Topology:
    """The complete topology. `delay_scale` shortens the retry ladder in tests.

    Raises ValueError for no service, and for services of different programs.
    """
    services = tuple(services)
    catalog = _catalog(services)
    names = catalog.names
    ladder = _ladder(services)
    rungs = [rung.name for rung in ladder]
    queues = [
        Queue(names.journal, "stream"),
        Queue(names.audit, "stream"),
        *map(Queue, (names.unroutable, names.client_events, *rungs)),
    ]
    queues += map(Queue, (names.lost, names.uncounted, names.losses))
    bindings = [
        Binding(names.events, "#", names.journal),
        Binding(names.unroutable, "#", names.unroutable),
        Binding(names.lost, "#", names.lost),
    ]
    bindings += [Binding(rung, "#", rung) for rung in rungs]
    bindings += [
        Binding(names.events, event.TYPE, names.client_events) for event in catalog.read_by_clients()
    ]
    for service in services:
        dead = service.dead_queue
        rejected = service.rejected_queue
        inputs = (service.events_queue, service.commands_queue, *service.added_queues)
        queues += [Queue(name) for name in (*inputs, dead, rejected)]
        bindings += [Binding(names.dead, service.name, dead), Binding(names.dead, rejected, rejected)]
        bindings += [
            Binding(names.exchange_of(consumed), consumed.TYPE, service.queue_of(consumed))
            for consumed in service.by_type
        ]
    whole = Topology(
        catalog=catalog,
        exchanges=(
            *(names.commands, names.events, names.client_events),
            *rungs,
            *(names.dead, names.unroutable, names.lost),
        ),
        queues=tuple(queues),
        bindings=tuple(bindings),
        policies=policies(services, ladder, names=names, delay_scale=delay_scale),
        ladder=ladder,
        users=(
            *map(_service_user, services),
            _client_user(catalog),
            BrokerUser(OPERATOR, configure=".*", write=".*", read=".*", topics={}, tags="administrator"),
        ),
    )
    return partitioned(whole, {service.name: service.partitions for service in services})


def _catalog(services: tuple["ServiceDefinition", ...]) -> Catalog:
    if not services:
        raise ValueError("no services; a topology is derived from at least one definition")
    first, *others = services
    for other in others:
        if other.catalog is not first.catalog:
            files = f"{first.catalog.declared_in} and {other.catalog.declared_in}"
            raise ValueError(
                f"{first.name} and {other.name} have different catalogs, of {files}; give them one"
            )
    return first.catalog


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


def _service_user(service: "ServiceDefinition") -> BrokerUser:
    """A service's user. It may publish what messaging/senders.py allows,
    and its own messages to its retry ladder.
    """
    name = service.name
    names = service.catalog.names
    rungs = service.retry_ladder.names
    ladder = "|".join(map(literal, rungs))
    return BrokerUser(
        name,
        configure="^$",
        write=f"^({names.commands}|{names.events}|{ladder}|{names.dead})$",
        read=f"^{name}[.]((events|commands){INPUT_QUEUE_SUFFIX}|dead)$",
        topics={
            **_sends(name, service.catalog),
            names.dead: f"^{name}([.]{REJECTED})?$",
            **dict.fromkeys(rungs, f"^{name}[.]"),
        },
    )


def _client_user(catalog: Catalog) -> BrokerUser:
    """The user of the shop's own tools, which place and cancel orders and consume events from their own
    queues.

    Its queues have one dot in their names; those of a client program have two
    (journey/admin/broker/client_users.py).
    """
    names = catalog.names
    own = f"{names.client}[.][^.]+"
    return BrokerUser(
        names.client,
        configure=f"^{own}$",
        write=f"^({names.commands}|{own})$",
        read=f"^({names.client_events}|{own})$",
        topics=_sends(CLIENT, catalog),
    )


def _sends(role: str, catalog: Catalog) -> dict[str, str]:
    """The permitted routing keys of each exchange. An exchange without a pattern accepts every key."""
    sent = catalog.sent_by(role)
    return {
        catalog.names.commands: exactly(each for each in sent if issubclass(each, Command)),
        catalog.names.events: exactly(each for each in sent if issubclass(each, Event)),
    }

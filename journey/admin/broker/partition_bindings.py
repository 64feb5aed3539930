"""Completes a change of the number of a service's partitions, after the new bindings exist.

With several partitions the bindings of an input queue lead to an exchange of the same name, otherwise to the
queue. While both exist, messages arrive twice. So `journey topology apply` creates the new bindings and then
removes the others; at no time a message has no route.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from chassis.bus.partitioning import HASH_EXCHANGE
from chassis.bus.topology_model import Topology
from journey.admin.broker import definitions
from journey.admin.broker.definitions import Json

Ask = Callable[..., Awaitable[Any]]
_OTHER_KIND = {"queue": "exchange", "exchange": "queue"}


async def can_partition(ask: Ask) -> bool:
    """Whether the broker has the plugin for exchanges that choose a partition."""
    overview = await ask("GET", "overview")
    return HASH_EXCHANGE in {each["name"] for each in overview["exchange_types"]}


async def remove_superseded(ask: Ask, vhost: str, topology: Topology) -> None:
    """Remove each binding that a binding of the topology to the other kind of destination replaces."""
    found = await ask("GET", f"bindings/{quote(vhost, safe='')}")
    for each in superseded(found, topology, vhost):
        await ask("DELETE", binding_path(each, vhost), missing_ok=True)


def superseded(found: Sequence[Json], topology: Topology, vhost: str) -> Iterator[Json]:
    routes = {
        (each["source"], each["routing_key"], each["destination_type"], each["destination"])
        for each in definitions.objects(topology, vhost)["bindings"]
    }
    for each in found:
        kind = _OTHER_KIND[each["destination_type"]]
        if (each["source"], each["routing_key"], kind, each["destination"]) in routes:
            yield each


def binding_path(binding: Json, vhost: str) -> str:
    """The path of a binding in the management API."""
    to = f"{binding['destination_type'][0]}/{quote(binding['destination'], safe='')}"
    key = quote(binding["properties_key"], safe="")
    return f"bindings/{quote(vhost, safe='')}/e/{quote(binding['source'], safe='')}/{to}/{key}"

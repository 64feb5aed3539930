"""Moves client bindings that an earlier version allowed on the exchange `events`, to which services publish.

If a client's queue on that exchange rejects an event, the broker rejects the service's publish. So clients
may bind only to the exchange `client_events`, and `journey topology apply` moves older bindings there.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from chassis.messaging.topology_names import TopologyNames
from journey.admin.broker import client_users
from journey.admin.broker.definitions import Json

Ask = Callable[..., Awaitable[Any]]
Disconnect = Callable[[str], Awaitable[None]]


async def misplaced(ask: Ask, vhost: str, names: TopologyNames) -> list[Json]:
    """Bindings of clients' queues and exchanges to the exchange of events."""
    path = f"exchanges/{quote(vhost, safe='')}/{names.events}/bindings/source"
    found = await ask("GET", path, missing_ok=True) or []
    return [each for each in found if client_users.is_client(each["destination"], names)]


def named(bindings: Iterable[Json], names: TopologyNames) -> Iterator[str]:
    for each in bindings:
        yield (
            f"binding of {names.events} to {each['destination']} by {each['routing_key']} must be moved to "
            f"{names.client_events}: such a client can make publishes of services fail"
        )


async def move(ask: Ask, disconnect: Disconnect, vhost: str, *, names: TopologyNames) -> None:
    """Bind them to the exchange of events for clients instead.

    Only its own connection can unbind an exclusive queue, so that connection is closed. The queue is deleted
    with it.
    """
    name = quote(vhost, safe="")
    found = await misplaced(ask, vhost, names)
    if not found:
        return
    queues = await ask("GET", f"queues/{name}", params={"columns": "name,exclusive"})
    exclusive = {queue["name"] for queue in queues if queue.get("exclusive")}
    for each in found:
        if each["destination_type"] == "queue" and each["destination"] in exclusive:
            await disconnect(client_users.owner(each["destination"], names))
            continue
        to = f"{each['destination_type'][0]}/{quote(each['destination'], safe='')}"
        same = {"routing_key": each["routing_key"], "arguments": each["arguments"]}
        await ask("POST", f"bindings/{name}/e/{names.client_events}/{to}", json=same)
        key = quote(each["properties_key"], safe="")
        await ask("DELETE", f"bindings/{name}/e/{names.events}/{to}/{key}", missing_ok=True)

"""Queues and exchanges of clients that an earlier version let bind to an exchange which services publish to.

If such a queue refuses an event, the broker refuses the publish of the service. So clients may bind only to the
exchange `client_events`, and `journey topology apply` moves the bindings that are older than this rule.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from contracts.envelope import CLIENT_EVENTS, EVENTS
from journey.admin.broker import client_users
from journey.admin.broker.definitions import Json

Ask = Callable[..., Awaitable[Any]]
Disconnect = Callable[[str], Awaitable[None]]


async def misplaced(ask: Ask, vhost: str) -> list[Json]:
    """Bindings of clients' queues and exchanges to the exchange that services publish to."""
    path = f"exchanges/{quote(vhost, safe='')}/{EVENTS}/bindings/source"
    found = await ask("GET", path, missing_ok=True) or []
    return [each for each in found if client_users.is_client(each["destination"])]


def named(bindings: Iterable[Json]) -> Iterator[str]:
    for each in bindings:
        yield (
            f"binding of {EVENTS} to {each['destination']} by {each['routing_key']} belongs to {CLIENT_EVENTS}:"
            " a client bound like this can stop services from publishing"
        )


async def move(ask: Ask, disconnect: Disconnect, vhost: str) -> None:
    """Bind them to the exchange of clients instead.

    Only its own connection can unbind an exclusive queue. That connection is closed, and the queue goes with it.
    """
    name = quote(vhost, safe="")
    found = await misplaced(ask, vhost)
    if not found:
        return
    queues = await ask("GET", f"queues/{name}", params={"columns": "name,exclusive"})
    exclusive = {queue["name"] for queue in queues if queue.get("exclusive")}
    for each in found:
        if each["destination_type"] == "queue" and each["destination"] in exclusive:
            await disconnect(client_users.owner(each["destination"]))
            continue
        to = f"{each['destination_type'][0]}/{quote(each['destination'], safe='')}"
        same = {"routing_key": each["routing_key"], "arguments": each["arguments"]}
        await ask("POST", f"bindings/{name}/e/{CLIENT_EVENTS}/{to}", json=same)
        key = quote(each["properties_key"], safe="")
        await ask("DELETE", f"bindings/{name}/e/{EVENTS}/{to}/{key}", missing_ok=True)

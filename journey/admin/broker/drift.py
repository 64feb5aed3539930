"""Differences between a broker and the topology, one sentence each."""

from collections.abc import Iterable, Iterator, Mapping

from chassis.bus.topology import QUEUES_MAX
from chassis.bus.topology_model import Topology
from chassis.messaging.topology_names import TopologyNames
from journey.admin.broker import client_users
from journey.admin.broker.definitions import Json


def of_objects(wanted: Json, actual: Json, names: TopologyNames) -> Iterator[str]:
    """Exchanges, queues, bindings and policies; not those of clients."""
    others = ("amq.", f"{names.client}.")
    for part in (_exchanges, _queues, _bindings):
        yield from differences(part(wanted, others), part(actual, others))
    yield from differences(_policies(wanted), _policies(actual))


def vhost_limits() -> dict[str, object]:
    return {"limit max-queues": QUEUES_MAX}


def user_limits(topology: Topology) -> dict[str, object]:
    clients = [
        user.name for user in topology.users if client_users.is_client(user.name, topology.catalog.names)
    ]
    return {
        f"limit {limit} of {user}": value for user in clients for limit, value in client_users.LIMITS.items()
    }


def _exchanges(found: Json, others: tuple[str, ...]) -> dict[str, object]:
    return {
        f"exchange {each['name']}": each["type"]
        for each in found["exchanges"]
        if not each["name"].startswith(others)
    }


def _queues(found: Json, others: tuple[str, ...]) -> dict[str, object]:
    return {
        f"queue {each['name']}": each["arguments"].get("x-queue-type", "classic")
        for each in found["queues"]
        if not each["name"].startswith(others)
    }


def _bindings(found: Json, others: tuple[str, ...]) -> dict[str, object]:
    return {
        f"binding of {each['source']} to {_destination(each)} by {each['routing_key']}": ""
        for each in found["bindings"]
        if not each["destination"].startswith(others)
    }


def _destination(binding: Json) -> str:
    """The name of a queue. An exchange can have the same one, so its name is preceded by `exchange`."""
    prefix = "exchange " if binding["destination_type"] == "exchange" else ""
    return f"{prefix}{binding['destination']}"


def _policies(found: Json) -> dict[str, object]:
    return {
        f"policy {each['name']}": {
            key: each[key] for key in ("pattern", "apply-to", "definition", "priority")
        }
        for each in found["policies"]
    }


def limits(found: Iterable[Json]) -> dict[str, object]:
    """Limits of a virtual host, or of users."""
    return {
        f"limit {name}" + (f" of {each['user']}" if "user" in each else ""): value
        for each in found
        for name, value in each["value"].items()
    }


def rights(found: Iterable[Json]) -> dict[str, object]:
    return {
        f"permission of {each['user']}" + (f" on {each['exchange']}" if "exchange" in each else ""): {
            key: each[key] for key in ("configure", "write", "read") if key in each
        }
        for each in found
    }


def differences(
    wanted: Mapping[str, object], actual: Mapping[str, object], spare: str | None = "nothing uses it"
) -> Iterator[str]:
    """`spare`: the remark on objects that exist but are not wanted; None ignores them."""
    for name, value in wanted.items():
        if name not in actual:
            yield f"{name} is missing"
        elif actual[name] != value:
            yield f"{name} is {actual[name]}, but should be {value}"
    if spare:
        yield from (f"{name} is extra: {spare}" for name in actual if name not in wanted)

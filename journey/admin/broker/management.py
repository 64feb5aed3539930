"""Client of RabbitMQ's management API: applies the topology, shows drift, reads queue lengths."""

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from chassis.bus.partitioning import HASH_PLUGIN
from chassis.bus.topology import QUEUES_MAX
from chassis.bus.topology_model import Topology
from journey.admin.broker import client_bindings, client_users, definitions, drift, partition_bindings
from journey.admin.broker.definitions import Json, password_hash
from journey.admin.broker.management_login import ManagementLogin, credentials_of
from journey.admin.ssl_context import tls

TIMEOUT_S = 30.0
_COUNTS = ("messages_ready", "messages_unacknowledged", "consumers")


class AdminUnavailable(Exception):
    """The management API did not respond, or refused the request; `remedy` tells the operator what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}\n  {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Depth:
    """Messages in a queue. None: unknown, e.g. the broker has just started or the queue has no leader."""

    ready: int | None
    unacked: int | None
    consumers: int | None


@dataclass(frozen=True)
class Traffic(Depth):
    """With the rates at which messages are published to and acknowledged from the queue, per second."""

    in_s: float | None
    out_s: float | None


@dataclass(frozen=True)
class Limit:
    """The maximum size of a queue by its policy; None: unlimited."""

    messages: int | None
    bytes: int | None


class BrokerAdmin:
    """Use it as `async with BrokerAdmin(url) as admin`. The URL holds the credentials of an administrator."""

    def __init__(
        self, management_url: str | Callable[[], str], context: ssl.SSLContext | None = None
    ) -> None:
        """A function is called for each request, so that a new password counts from the next one on.

        `context`: by default the system's authorities are trusted.
        """
        url = management_url if isinstance(management_url, str) else management_url()
        parts = urlsplit(url)
        self.user = credentials_of(url)[0]
        self._origin = parts._replace(
            netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")
        ).geturl()
        self._http = httpx.AsyncClient(
            base_url=f"{self._origin}/api/",
            auth=ManagementLogin(management_url),
            timeout=TIMEOUT_S,
            verify=context or tls(),
        )

    async def __aenter__(self) -> "BrokerAdmin":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def apply(self, topology: Topology, vhost: str, passwords: Mapping[str, str]) -> None:
        """Create or update everything in the topology. Other objects stay, except superseded bindings.

        Sets the passwords of the users in `passwords`. Other users of the topology, client programs among
        them, get their permissions only if they exist on the broker. The administrator gets all permissions
        in the virtual host, and keeps the password.
        """
        name = quote(vhost, safe="")
        await self._ask("PUT", f"vhosts/{name}")
        await self._ask(
            "PUT",
            f"permissions/{name}/{quote(self.user)}",
            json={"configure": ".*", "write": ".*", "read": ".*"},
        )
        if topology.partitions and not await partition_bindings.can_partition(self._ask):
            raise AdminUnavailable(
                "PARTITIONS is set, and RabbitMQ lacks the plugin that distributes messages to partitions",
                f"enable it on each node: `rabbitmq-plugins enable {HASH_PLUGIN}`",
            )
        hashes = {user: password_hash(password) for user, password in passwords.items() if user != self.user}
        wanted = definitions.render(topology, vhost, hashes)
        users = await self._ask("GET", "users")
        known = {user["name"] for user in users} - {self.user}
        topology = client_users.added(topology, users, vhost)
        wanted |= definitions.rights(topology, vhost, dict.fromkeys(known | hashes.keys()))
        await self._ask("POST", "definitions", json=wanted)
        await partition_bindings.remove_superseded(self._ask, vhost, topology)
        await self._ask("PUT", f"vhost-limits/{name}/max-queues", json={"value": QUEUES_MAX})
        for client in client_users.known(users, vhost, topology.catalog):
            await self.limit_user(client.user, client_users.LIMITS)
        await client_bindings.move(self._ask, self.disconnect, vhost, names=topology.catalog.names)

    async def plan(self, topology: Topology, vhost: str) -> list[str]:
        """Differences between the broker and the topology, one sentence each; empty if there are none."""
        name = quote(vhost, safe="")
        if vhost not in {each["name"] for each in await self._ask("GET", "vhosts")}:
            return [f"virtual host {vhost} is missing, with everything in it"]
        actual, users, permissions, topics, limits, user_limits, misplaced = await asyncio.gather(
            self._ask("GET", f"definitions/{name}"),
            self._ask("GET", "users"),
            self._ask("GET", f"vhosts/{name}/permissions"),
            self._ask("GET", f"vhosts/{name}/topic-permissions"),
            self._ask("GET", f"vhost-limits/{name}"),
            self._ask("GET", "user-limits"),
            client_bindings.misplaced(self._ask, vhost, topology.catalog.names),
        )
        topology = client_users.added(topology, users, vhost)
        known = {user["name"] for user in users}
        rights = definitions.rights(topology, vhost, dict.fromkeys(known - {self.user}))
        return [
            *(f"user {user.name} is missing" for user in topology.users if user.name not in known),
            *drift.differences(drift.rights(rights["permissions"]), drift.rights(permissions), spare=None),
            *drift.differences(drift.rights(rights["topic_permissions"]), drift.rights(topics), spare=None),
            *drift.differences(drift.vhost_limits(), drift.limits(limits), spare=None),
            *drift.differences(drift.user_limits(topology), drift.limits(user_limits), spare=None),
            *drift.of_objects(definitions.objects(topology, vhost), actual, topology.catalog.names),
            *client_bindings.named(misplaced, topology.catalog.names),
        ]

    async def delete_vhost(self, vhost: str) -> None:
        """Delete it with all queues and messages. Users stay, because they belong to the whole broker."""
        await self._ask("DELETE", f"vhosts/{quote(vhost, safe='')}", missing_ok=True)

    async def depths(self, vhost: str) -> dict[str, Depth]:
        """Messages in each queue. The broker updates its counts every few seconds."""
        columns = ",".join(("name", *_COUNTS))
        path = f"queues/{quote(vhost, safe='')}"
        queues = await self._ask("GET", path, params={"columns": columns}, missing_ok=True) or []
        return {queue["name"]: Depth(*_counts(queue)) for queue in queues}

    async def traffic(self, vhost: str) -> dict[str, Traffic]:
        """Counts and rates of every queue. Rates are None if the broker does not collect them.

        A missing rate next to existing counts means 0: no such event since the broker collects statistics.
        """
        rates = {"in_s": "publish_details", "out_s": "ack_details"}
        columns = ["name", *_COUNTS, *(f"message_stats.{each}.rate" for each in rates.values())]
        overview, queues = await asyncio.gather(
            self._ask("GET", "overview", params={"columns": "rates_mode"}),
            self._ask("GET", f"queues/{quote(vhost, safe='')}", params={"columns": ",".join(columns)}),
        )
        counts_rates = overview.get("rates_mode", "none") != "none"
        found = {}
        for queue in queues:
            counts = _counts(queue)
            stats = queue.get("message_stats") or {}
            unsaid = 0.0 if counts_rates and counts[0] is not None else None
            found[queue["name"]] = Traffic(
                *counts, **{name: (stats.get(each) or {}).get("rate", unsaid) for name, each in rates.items()}
            )
        return found

    async def alarms(self) -> list[str]:
        """The resource alarms for which the broker blocks all publishers."""
        nodes = await self._ask("GET", "nodes", params={"columns": "name,mem_alarm,disk_free_alarm"})
        meant = {"mem_alarm": "memory", "disk_free_alarm": "disk space"}
        return [
            f"{node['name']} is short of {what}"
            for node in nodes
            for key, what in meant.items()
            if node.get(key)
        ]

    async def limit(self, vhost: str, queue: str) -> Limit | None:
        """The limit by the policy in effect; None if the queue does not exist."""
        path = f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}"
        found = await self._ask("GET", path, missing_ok=True)
        if found is None:
            return None
        policy = found.get("effective_policy_definition") or {}
        return Limit(policy.get("max-length"), policy.get("max-length-bytes"))

    async def queue_fill(self, vhost: str) -> dict[str, float]:
        """Used share of each bounded queue's limit, in messages or in bytes, whichever is larger.

        Streams are left out, because a full stream is normal. So are queues without statistics yet.
        """
        columns = "name,type,messages,message_bytes,effective_policy_definition"
        queues = await self._ask("GET", f"queues/{quote(vhost, safe='')}", params={"columns": columns})
        found = {queue["name"]: _fill(queue) for queue in queues if queue.get("type") != "stream"}
        return {name: ratio for name, ratio in found.items() if ratio is not None}

    async def delete_queue(self, vhost: str, queue: str) -> None:
        await self._ask("DELETE", f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}", missing_ok=True)

    async def close_connections(self, vhost: str) -> int:
        """Close all connections of a virtual host and return how many; clients reconnect by themselves."""
        connections = await self._ask("GET", f"vhosts/{quote(vhost, safe='')}/connections")
        for connection in connections:
            await self._ask("DELETE", f"connections/{quote(connection['name'], safe='')}", missing_ok=True)
        return len(connections)

    async def limit_user(self, user: str, limits: Mapping[str, int]) -> None:
        for limit, value in limits.items():
            await self._ask("PUT", f"user-limits/{quote(user, safe='')}/{limit}", json={"value": value})

    async def connections(self, user: str) -> int:
        """Number of open connections of a broker user, in all virtual hosts."""
        return len(
            await self._ask("GET", f"connections/username/{quote(user, safe='')}", missing_ok=True) or []
        )

    async def disconnect(self, user: str) -> None:
        """Close all connections of a broker user; connections that have already ended are ignored."""
        if await self.connections(user):
            await self._ask("DELETE", f"connections/username/{quote(user, safe='')}", missing_ok=True)

    async def ask(self, method: str, path: str, *, missing_ok: bool = False, **how: Any) -> Any:
        """Send one request. Raises AdminUnavailable with a remedy; returns None for a 404 if `missing_ok`."""
        return await self._ask(method, path, missing_ok=missing_ok, **how)

    async def _ask(self, method: str, path: str, *, missing_ok: bool = False, **how: Any) -> Any:
        try:
            response = await self._http.request(method, path, **how)
        except httpx.HTTPError as error:
            raise AdminUnavailable(
                f"RabbitMQ's management API at {self._origin} {_why(error)}",
                "start the broker (`journey up`) and enable its API: `rabbitmq-plugins enable "
                "rabbitmq_management`",
            ) from error
        if response.status_code in (401, 403):
            raise AdminUnavailable(
                f"{self.user} is not authorized to do this with the management API at {self._origin}",
                f"check the password, and set the tag: `rabbitmqctl set_user_tags {self.user} administrator`",
            )
        if response.status_code == 404 and missing_ok:
            return None
        if response.status_code == 404 or (response.status_code == 400 and "not_found" in response.text):
            raise AdminUnavailable(
                f"the virtual host, or the object in it, does not exist ({method} {path})",
                "`journey up` creates the virtual host, `journey topology apply` the objects in it",
            )
        if response.is_error:
            raise AdminUnavailable(
                f"RabbitMQ responded with {response.status_code} to {method} {path}: {response.text[:300]}",
                "check the broker's log; `journey topology plan` shows what is not applied",
            )
        return response.json() if response.content else None


def derived_passwords(topology: Topology, management_url: str) -> dict[str, str]:
    """For brokers of developers and tests: passwords derived from the administrator's,
    the same in every checkout.

    Users belong to a broker, not to a virtual host: with random passwords, two checkouts would lock each
    other out.
    """
    admin, password = credentials_of(management_url)
    derived = {
        user.name: hmac.new(password.encode(), user.name.encode(), hashlib.sha256).hexdigest()[:32]
        for user in topology.users
    }
    return derived | ({admin: password} if admin in derived else {})


def _counts(queue: Json) -> list[int | None]:
    """Some brokers report negative counts; these count as unknown."""
    found = (queue.get(name) for name in _COUNTS)
    return [count if isinstance(count, int) and count >= 0 else None for count in found]


def _fill(queue: Json) -> float | None:
    policy = queue.get("effective_policy_definition") or {}
    used = {"max-length": queue.get("messages"), "max-length-bytes": queue.get("message_bytes")}
    shares = [have / policy[limit] for limit, have in used.items() if have is not None and policy.get(limit)]
    return max(shares, default=None)


def _why(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "did not respond in time"
    return "does not respond" if isinstance(error, httpx.ConnectError) else "closed the connection early"

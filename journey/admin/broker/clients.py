"""Client programs on the broker: add one, rotate its password, list them, remove one with its queues."""

import asyncio
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from journey.admin.broker import client_users, definitions
from journey.admin.broker.client_users import ClientUser
from journey.admin.broker.management import BrokerAdmin
from journey.admin.endpoints import ShopEndpoints

_AGAIN_S = 0.2


class AlreadyThere(Exception):
    """A client of this name exists, and `rotate` was not set."""


@dataclass(frozen=True)
class ClientCredentials:
    """What a program needs to connect. The password is only here; the broker stores its hash."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    url: str = field(repr=False)
    queue_prefix: str
    may_send: list[str]

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Listed:
    """A client as the broker sees it.

    `messages`: queued messages; None if the broker does not report them.
    """

    name: str
    user: str
    may_send: list[str]
    connections: int
    queues: list[str]
    messages: int | None

    def document(self) -> dict[str, Any]:
        return asdict(self)


class Clients:
    """The client programs of one shop."""

    def __init__(self, admin: BrokerAdmin, endpoints: ShopEndpoints) -> None:
        self._admin = admin
        self._endpoints = endpoints
        self._vhost = quote(endpoints.vhost, safe="")

    async def add(self, name: str, may: str | None, *, rotate: bool = False) -> ClientCredentials:
        """Create the broker user.

        `rotate`: if the user exists, change its password, and its permitted commands if `may` is given.
        """
        before = await self._known(name)
        if before is not None and not rotate:
            raise AlreadyThere(f"client {name} exists already; --rotate sets a new password")
        client = before if before and may is None else ClientUser(name, client_users.permitted(may))
        password = secrets.token_urlsafe(24)
        hashed = {
            "password_hash": definitions.password_hash(password),
            "tags": client.tags(self._endpoints.vhost),
        }
        await self._admin.ask("PUT", f"users/{client.user}", json=hashed)
        await self._entitle(client)
        if before is not None:
            await self._admin.disconnect(client.user)
        return self._credentials(client, password)

    async def listed(self) -> list[Listed]:
        clients = client_users.known(await self._admin.ask("GET", "users"), self._endpoints.vhost)
        queues = await self._admin.depths(self._endpoints.vhost)
        found = []
        for client in clients:
            own = sorted(name for name in queues if name.startswith(client.queue_prefix))
            waiting = [queues[name].ready for name in own]
            messages = None if None in waiting else sum(count for count in waiting if count is not None)
            count = await self._admin.connections(client.user)
            found.append(Listed(client.name, client.user, client.types, count, own, messages))
        return found

    async def remove(self, name: str) -> bool:
        """Delete the user with its queues and exchanges. Returns whether the client existed."""
        client = ClientUser(name, ())
        there = await self._known(name) is not None
        if there:  # first, so that it cannot declare more queues; the broker closes its connections
            await self._admin.ask("DELETE", f"users/{client.user}", missing_ok=True)
        while await self._delete_own(client):  # declared before the connection was closed
            await asyncio.sleep(_AGAIN_S)
        return there

    async def _delete_own(self, client: ClientUser) -> bool:
        """Returns whether there was anything. Closing a client's connections deletes its exclusive queues."""
        await self._admin.disconnect(client.user)
        any_found = False
        for kind in ("queues", "exchanges"):
            found = await self._admin.ask(
                "GET", f"{kind}/{self._vhost}", params={"columns": "name,exclusive"}
            )
            for each in found:
                if each["name"].startswith(client.queue_prefix):
                    any_found = True
                    if not each.get("exclusive"):
                        path = f"{kind}/{self._vhost}/{quote(each['name'], safe='')}"
                        await self._admin.ask("DELETE", path, missing_ok=True)
        return any_found

    async def _known(self, name: str) -> ClientUser | None:
        user = ClientUser(name, ()).user
        found = await self._admin.ask("GET", f"users/{user}", missing_ok=True)
        if found is None:
            return None
        clients = client_users.known([found], self._endpoints.vhost)
        if not clients:
            raise AlreadyThere(
                f"the broker has a user {user} that belongs to another virtual host; choose another name"
            )
        return clients[0]

    async def _entitle(self, client: ClientUser) -> None:
        rights = client.rights()
        await self._admin.ask(
            "PUT",
            f"permissions/{self._vhost}/{client.user}",
            json={"configure": rights.configure, "write": rights.write, "read": rights.read},
        )
        for exchange, keys in rights.topics.items():
            topic = {"exchange": exchange, "write": keys, "read": ".*"}
            await self._admin.ask("PUT", f"topic-permissions/{self._vhost}/{client.user}", json=topic)
        await self._admin.limit_user(client.user, client_users.LIMITS)

    def _credentials(self, client: ClientUser, password: str) -> ClientCredentials:
        parts = urlsplit(self._endpoints.amqp_base)
        host, port = parts.hostname or "127.0.0.1", parts.port or (5671 if parts.scheme == "amqps" else 5672)
        where = f"{host}:{port}/{quote(self._endpoints.vhost, safe='')}"
        return ClientCredentials(
            host=host,
            port=port,
            vhost=self._endpoints.vhost,
            user=client.user,
            password=password,
            url=f"{parts.scheme}://{client.user}:{password}@{where}",
            queue_prefix=client.queue_prefix,
            may_send=client.types,
        )

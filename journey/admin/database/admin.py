"""Creates the users of MongoDB, and shows where the server differs from them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from chassis.connection_urls import user_of
from journey.admin.database.users import DatabaseUser
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

TIMEOUT_MS = 5_000
# SCRAM-SHA-1 is for clients of before MongoDB 4.0.
MECHANISMS = ["SCRAM-SHA-256"]
_UNAUTHORIZED, _LOGIN_FAILED = 13, 18
# Roles in the database `admin` that give access to no service's data, and the user with which the MongoDB
# Community Operator for Kubernetes manages the members.
_HARMLESS = frozenset({"clusterMonitor"})
_COMMUNITY_OPERATOR = "mms-automation"
NOT_ENFORCED = "MongoDB requires no login: every client reaches every database; start it with --auth"


class DatabaseAdmin:
    """Use it as `async with DatabaseAdmin(url) as admin`. The URL holds the credentials of an administrator.

    Raises InfrastructureUnavailable with the remedy.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._own = user_of(url)
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            url, timeoutMS=TIMEOUT_MS, serverSelectionTimeoutMS=TIMEOUT_MS
        )

    async def __aenter__(self) -> "DatabaseAdmin":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    async def apply(self, users: Iterable[DatabaseUser], passwords: Mapping[str, str]) -> None:
        """Create the users, or set their roles and passwords. Other users stay; no session is closed."""
        async with self._explained():
            known = {each["user"] for each in await self._users()}
            for user in users:
                await self._client.admin.command(
                    "updateUser" if user.name in known else "createUser",
                    user.name,
                    pwd=passwords[user.name],
                    roles=[{"role": role, "db": database} for role, database in sorted(user.roles)],
                    mechanisms=MECHANISMS,
                    writeConcern={"w": "majority"},
                )

    async def plan(self, users: Iterable[DatabaseUser], passwords: Mapping[str, str]) -> list[str]:
        """Differences between the server and the users, one sentence each; empty if there are none."""
        wanted = {user.name: user for user in users}
        async with self._explained():
            found = {each["user"]: _roles_of(each) for each in await self._users()}
            differences = [] if await self.requires_login() else [NOT_ENFORCED]
            for name, user in wanted.items():
                if name not in found:
                    differences.append(f"user {name} is missing")
                elif found[name] != user.roles:
                    differences.append(
                        f"user {name} has the roles {_shown(found[name])}, but should have "
                        f"{_shown(user.roles)}"
                    )
                elif not await self._accepts(name, passwords[name]):
                    differences.append(f"user {name} has another password")
        ours = {database for user in wanted.values() for _, database in user.roles}
        return differences + [
            f"user {name} is extra, and reaches {', '.join(sorted(reached))}"
            for name, roles in found.items()
            if name not in {*wanted, self._own, _COMMUNITY_OPERATOR} and (reached := _reached(roles, ours))
        ]

    async def drop(self, prefix: str) -> None:
        """Remove all users and databases whose names begin with the prefix, which must not be empty."""
        if not prefix:
            raise ValueError("an empty prefix would remove everything")
        async with self._explained():
            for user in await self._users():
                if user["user"].startswith(prefix):
                    await self._client.admin.command("dropUser", user["user"])
            for name in await self._client.list_database_names():
                if name.startswith(prefix):
                    await self._client.drop_database(name)

    async def _users(self) -> list[dict[str, Any]]:
        users: list[dict[str, Any]] = (await self._client.admin.command("usersInfo", 1))["users"]
        return users

    async def requires_login(self) -> bool:
        """Whether the server refuses a command without a login."""
        try:
            async with self._connected(with_login(self._url, "", "")) as client:
                await client.admin.command("usersInfo", 1)
        except OperationFailure as error:
            return error.code == _UNAUTHORIZED
        return False

    async def _accepts(self, user: str, password: str) -> bool:
        try:
            async with self._connected(with_login(self._url, user, password)) as client:
                await client.admin.command("ping")
        except OperationFailure as error:
            if error.code != _LOGIN_FAILED:
                raise
            return False
        return True

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
        async with AsyncMongoClient[dict[str, Any]](
            url, timeoutMS=TIMEOUT_MS, serverSelectionTimeoutMS=TIMEOUT_MS
        ) as client:
            yield client

    @asynccontextmanager
    async def _explained(self) -> AsyncIterator[None]:
        try:
            yield
        except OperationFailure as error:
            if error.code == _LOGIN_FAILED:
                reason = f"MongoDB refuses the password of {self._own}"
            elif error.code == _UNAUTHORIZED:
                reason = f"MongoDB does not let {self._own or 'a client without a login'} manage users"
            else:
                reason = f"MongoDB refuses to manage users: {str(error)[:200]}"
            raise InfrastructureUnavailable(
                reason, "use the credentials of a user with the role userAdminAnyDatabase or root"
            ) from error
        except PyMongoError as error:
            raise InfrastructureUnavailable(
                "MongoDB does not respond, or has no primary", "start it (`journey up`), then try again"
            ) from error


def with_login(url: str, user: str, password: str) -> str:
    """The URL with other credentials, or without any if `user` is empty."""
    scheme, _, rest = url.partition("://")
    hosts = rest.partition("/")[0].rpartition("@")[2]
    after = rest.partition("/")[1] + rest.partition("/")[2]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"{scheme}://{login}{hosts}{after}"


def _roles_of(user: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((role["role"], role["db"]) for role in user["roles"])


def _reached(roles: frozenset[tuple[str, str]], databases: set[str]) -> set[str]:
    """The databases among these that a user with these roles reaches."""
    if any(database == "admin" and role not in _HARMLESS for role, database in roles):
        return {"every database"}
    return {database for _, database in roles} & databases


def _shown(roles: frozenset[tuple[str, str]]) -> str:
    return ", ".join(f"{role} on {database}" for role, database in sorted(roles)) or "none"

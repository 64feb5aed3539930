"""Each forbidden act, tried by the users of the services on the real MongoDB."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from chassis.messaging.envelope import OPERATOR
from chassis.store.mongodb import MongoStore
from chassis.store.protocol import Change, Loaded, StoreRefused
from journey.admin.database.admin import NOT_ENFORCED, DatabaseAdmin, with_login
from journey.admin.database.target import DatabaseTarget
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import CONSUMING_SERVICES

pytestmark = pytest.mark.real

Client = AsyncMongoClient[dict[str, Any]]
Act = Callable[[Client, str], Awaitable[Any]]
UNAUTHORIZED, LOGIN_FAILED = 13, 18
SERVICES = tuple(CONSUMING_SERVICES)

IN_ANOTHER_DATABASE: dict[str, Act] = {
    "read": lambda client, name: client[name].secrets.find_one(),
    "count": lambda client, name: client[name].secrets.count_documents({}),
    "insert": lambda client, name: client[name].secrets.insert_one({"by": "another"}),
    "update": lambda client, name: client[name].secrets.update_one({}, {"$set": {"by": "another"}}),
    "delete": lambda client, name: client[name].secrets.delete_many({}),
    "create a collection": lambda client, name: client[name].create_collection("more"),
    "create an index": lambda client, name: client[name].secrets.create_index("by"),
    "drop a collection": lambda client, name: client[name].command("drop", "secrets"),
    "drop the database": lambda client, name: client[name].command("dropDatabase"),
    "list its collections": lambda client, name: client[name].command("listCollections"),
    "create a user": lambda client, name: client[name].command("createUser", "mine", pwd="mine", roles=[]),
    "watch its changes": lambda client, name: client[name].command(
        "aggregate", "secrets", pipeline=[{"$changeStream": {}}], cursor={}
    ),
}
ON_THE_SERVER: dict[str, Act] = {
    "read the users": lambda client, _: client.admin["system.users"].find_one(),
    "list the users": lambda client, _: client.admin.command("usersInfo", 1),
    "create a user": lambda client, _: client.admin.command("createUser", "mine", pwd="mine", roles=[]),
    "change another's password": lambda client, name: client.admin.command("updateUser", name, pwd="mine"),
    "give itself a role": lambda client, name: client.admin.command("grantRolesToUser", name, roles=["root"]),
    "read the replication log": lambda client, _: client.local["oplog.rs"].find_one(),
    "read the configuration": lambda client, _: client.admin.command("replSetGetConfig"),
    "read parameters": lambda client, _: client.admin.command("getParameter", "*"),
    "see others' operations": lambda client, _: client.admin.command("currentOp", {"$all": True}),
    "stop the server": lambda client, _: client.admin.command("shutdown"),
    "write a file of data elsewhere": lambda client, name: client[name].command(
        "aggregate", "secrets", pipeline=[{"$out": {"db": "admin", "coll": "stolen"}}], cursor={}
    ),
}


async def error_code(act: Act, client: Client, name: str) -> int | None:
    """The server's error code; None if it carried the act out."""
    try:
        await act(client, name)
    except OperationFailure as error:
        return error.code
    return None


async def with_secrets(database: DatabaseTarget) -> list[str]:
    """One document in each database, written by the administrator; returns the databases' names."""
    names = sorted({name for user in database.users for _, name in user.roles})
    async with Client(database.url) as client:
        for name in names:
            await client[name].secrets.insert_one({"_id": "kept", "by": "its service"})
    return names


async def kept(database: DatabaseTarget, names: list[str]) -> list[dict[str, list[Any]]]:
    async with Client(database.url) as client:
        return [
            {
                each: await client[name][each].find().to_list()
                for each in await client[name].list_collection_names()
            }
            for name in names
        ]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reaches_no_other_database(database: DatabaseTarget, service: str) -> None:
    names = await with_secrets(database)
    before = await kept(database, names)
    user = f"{database.prefix}{service}"
    [own] = [{name for _, name in each.roles} for each in database.users if each.name == user]
    others = [*(name for name in names if name not in own), "admin", "somewhere_new"]
    async with Client(database.url_of(service)) as client:
        found = {
            (act, name): await error_code(tries, client, name)
            for name in others
            for act, tries in IN_ANOTHER_DATABASE.items()
        }
    assert len(others) >= len(SERVICES)
    assert {each: code for each, code in found.items() if code != UNAUTHORIZED} == {}
    assert await kept(database, names) == before


@pytest.mark.parametrize("service", [*SERVICES, OPERATOR])
async def test_a_user_cannot_administer_the_server(database: DatabaseTarget, service: str) -> None:
    name = f"{database.prefix}{service}"
    async with Client(database.url_of(service)) as client:
        found = {act: await error_code(tries, client, name) for act, tries in ON_THE_SERVER.items()}
    assert {act: code for act, code in found.items() if code != UNAUTHORIZED} == {}


async def test_each_service_works_with_its_own_user(database: DatabaseTarget) -> None:
    for make in CONSUMING_SERVICES.values():
        service = make()
        for name in service.databases:
            store = MongoStore(database.url_of(service.name), f"{database.prefix}{name}")
            try:
                await store.start(service.kinds)
                kinds = [*service.kinds][:2]
                together = [Change(Loaded(kind, "one"), {"status": "new"}) for kind in kinds]
                assert await store.save(together, together=len(together) > 1)
                assert await store.find(kinds[0])
            finally:
                await store.stop()


async def test_operators_read_everything_and_write_nothing(database: DatabaseTarget) -> None:
    names = await with_secrets(database)
    reads = ("read", "count", "list its collections", "watch its changes")
    async with Client(database.url_of(OPERATOR)) as client:
        for name in names:
            found = {act: await error_code(tries, client, name) for act, tries in IN_ANOTHER_DATABASE.items()}
            assert {act for act, code in found.items() if code is None} == set(reads)
            assert {code for act, code in found.items() if act not in reads} == {UNAUTHORIZED}


async def test_without_a_login_nothing_is_allowed(database: DatabaseTarget) -> None:
    names = await with_secrets(database)
    acts = IN_ANOTHER_DATABASE | ON_THE_SERVER
    async with Client(with_login(database.url, "", "")) as client:
        found = {(act, name): await error_code(acts[act], client, name) for act in acts for name in names}
    assert {each: code for each, code in found.items() if code != UNAUTHORIZED} == {}


async def test_a_revoked_password_is_refused(database: DatabaseTarget) -> None:
    before = {service: database.url_of(service) for service in (*SERVICES, OPERATOR)}
    after = replace(database, passwords={name: f"next-{name}" for name in database.passwords})
    await after.apply()
    for service, url in before.items():
        async with Client(url) as client:
            assert await error_code(lambda its, _: its.admin.command("ping"), client, "") == LOGIN_FAILED
        store = MongoStore(url, f"{database.prefix}{service}")
        with pytest.raises(StoreRefused, match="refuses the user, the password or the right"):
            await store.start({})
        await store.stop()
        async with Client(after.url_of(service)) as client:
            assert await error_code(lambda its, _: its.admin.command("ping"), client, "") is None


async def test_a_dropped_user_loses_its_open_connections(database: DatabaseTarget) -> None:
    async with Client(database.url) as admin, Client(database.url_of("order_svc")) as client:
        orders = client[f"{database.prefix}order_svc"].orders
        await orders.insert_one({"_id": 1})
        await admin.admin.command("dropUser", f"{database.prefix}order_svc")
        with pytest.raises(OperationFailure) as refused:
            await orders.insert_one({"_id": 2})
    assert refused.value.code == UNAUTHORIZED


async def test_applying_again_changes_nothing(database: DatabaseTarget) -> None:
    assert await database.plan() == []
    await database.apply()
    assert await database.plan() == []


async def test_the_plan_names_each_difference(database: DatabaseTarget) -> None:
    prefix = database.prefix
    async with Client(database.url) as client:
        admin = client.admin
        await admin.command("dropUser", f"{prefix}order_svc")
        await admin.command("updateUser", f"{prefix}user_svc", pwd="another")
        more = [{"role": "read", "db": f"{prefix}user_svc"}]
        await admin.command("grantRolesToUser", f"{prefix}gateway", roles=more)
        await admin.command("createUser", f"{prefix}spy", pwd="x", roles=more)
    differences = await database.plan()
    await database.apply()
    assert await database.plan() == [f"user {prefix}spy is extra, and reaches {prefix}user_svc"]
    assert differences == [
        f"user {prefix}order_svc is missing",
        f"user {prefix}user_svc has another password",
        f"user {prefix}gateway has the roles read on {prefix}user_svc, readWrite on {prefix}gateway, "
        f"but should have readWrite on {prefix}gateway",
        f"user {prefix}spy is extra, and reaches {prefix}user_svc",
    ]


async def test_a_server_without_logins_is_a_difference(
    database: DatabaseTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def every_client_is_allowed(_: DatabaseAdmin) -> bool:
        return False

    monkeypatch.setattr(DatabaseAdmin, "requires_login", every_client_is_allowed)
    assert await database.plan() == [NOT_ENFORCED]


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        ("mallory", "wrong", "refuses the password of mallory"),
        ("", "", "does not let a client without a login manage users"),
    ],
)
async def test_a_wrong_administrator_is_explained(
    database: DatabaseTarget, user: str, password: str, reason: str
) -> None:
    wrong = replace(database, url=with_login(database.url, user, password))
    for tries in (wrong.apply, wrong.plan):
        with pytest.raises(InfrastructureUnavailable, match=reason):
            await tries()

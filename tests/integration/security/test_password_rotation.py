"""Stores and shared counters use a new password, in whichever order it reaches server and file."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from chassis.store.mongodb import MongoStore
from chassis.store.mongodb_client import Driver
from chassis.store.protocol import Change, Loaded, StoreRefused, StoreUnavailable
from gateway.http.rate_limit import SharedCounters
from journey.admin.database.target import DatabaseTarget
from tests.support.eventually import until

pytestmark = pytest.mark.real

DRIVERS: tuple[Driver, ...] = ("motor", "pymongo")
AT_ONCE = 20  # more than the connections that are open, so that the driver opens further ones


@dataclass
class PasswordFile:
    """What a service reads: the URL with the password of its file."""

    database: DatabaseTarget
    url: str

    @classmethod
    def of(cls, database: DatabaseTarget) -> "PasswordFile":
        return cls(database, database.url_of("order_svc"))

    def read(self) -> str:
        return self.url

    async def change_server(self, password: str) -> None:
        self.database.passwords[f"{self.database.prefix}order_svc"] = password
        await self.database.apply()

    def change_file(self) -> None:
        self.url = self.database.url_of("order_svc")


async def written(store: MongoStore, key: str) -> bool:
    """Whether the store writes; False while it reports the database as unavailable."""
    try:
        return await store.save([Change(Loaded("orders", key), {"status": "placed"})])
    except StoreUnavailable:
        return False


async def read_at_once(store: MongoStore, count: int = AT_ONCE) -> list[BaseException | object]:
    return list(await asyncio.gather(*(store.find("orders") for _ in range(count)), return_exceptions=True))


async def started(file: PasswordFile, driver: Driver) -> MongoStore:
    store = MongoStore(file.read, f"{file.database.prefix}order_svc", driver)
    await store.start({"orders": ("status",)})
    assert await written(store, "before")
    return store


@pytest.mark.parametrize("driver", DRIVERS)
async def test_connections_recover_if_the_server_gets_the_password_first(
    database: DatabaseTarget, driver: Driver
) -> None:
    file = PasswordFile.of(database)
    store = await started(file, driver)
    try:
        await file.change_server("the second password")
        refused = [each for each in await read_at_once(store) if isinstance(each, BaseException)]
        assert refused and {type(each) for each in refused} == {StoreUnavailable}, "new connections need it"
        file.change_file()
        await until(lambda: written(store, "after"))
        assert not any(isinstance(each, BaseException) for each in await read_at_once(store))
        assert {each.key for each in await store.find("orders")} == {"before", "after"}
    finally:
        await store.stop()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_connections_survive_if_the_file_gets_the_password_first(
    database: DatabaseTarget, driver: Driver
) -> None:
    """Nothing fails: the probe takes the new password as soon as the server has it."""
    file = PasswordFile.of(database)
    store = await started(file, driver)
    try:
        database.passwords[f"{database.prefix}order_svc"] = "the second password"
        file.change_file()
        await store.ping()
        assert not any(isinstance(each, BaseException) for each in await read_at_once(store))
        await database.apply()
        await store.ping()
        assert await store.save([Change(Loaded("orders", "after"), {"status": "placed"})])
        assert not any(isinstance(each, BaseException) for each in await read_at_once(store, 2 * AT_ONCE))
    finally:
        await store.stop()


async def test_a_wrong_password_at_the_start_is_refused(database: DatabaseTarget) -> None:
    file = PasswordFile.of(database)
    await file.change_server("the second password")
    store = MongoStore(file.read, f"{database.prefix}order_svc")
    with pytest.raises(StoreRefused, match="refuses the user, the password or the right"):
        await store.start({"orders": ()})
    await store.stop()


async def test_the_shared_counters_use_the_new_password(database: DatabaseTarget) -> None:
    file = PasswordFile.of(database)
    counters = SharedCounters(file.read, f"{database.prefix}order_svc", timeout_s=10)

    async def counted() -> int:
        return await counters.storage.incr("user/ada", 60)

    try:
        assert await counted() == 1
        await file.change_server("the second password")
        file.change_file()
        await counters.renew()
        assert await all_of(counted) == list(range(2, AT_ONCE + 2))
    finally:
        await counters.close()


async def all_of(count: Callable[[], Awaitable[int]]) -> list[int]:
    return sorted(await asyncio.gather(*(count() for _ in range(AT_ONCE))))

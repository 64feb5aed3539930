"""The same faults for every store, so that one suite can test all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from chassis.bus.memory import MemoryStore
from chassis.store.mongodb import Driver, MongoStore
from chassis.store.protocol import Store, StoreUnavailable
from tests.support.proxy import Proxy
from tests.support.recording_consumer import WAIT_S_MAX

KINDS = {"orders": ("status", "tags", "customer.id"), "shelves": ()}
TIMEOUT_MS = 30_000
SILENT_MS = 1_500  # time limit for responses that never come; expected responses may take longer


T = TypeVar("T")


async def answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Repeat until the database responds; it is up, or about to be."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(0.05)


class Database(Protocol):
    async def store(self, timeout_ms: int = TIMEOUT_MS) -> Store:
        """Connect one more instance of a service; stopped after the test."""
        ...

    async def freeze(self) -> None: ...
    async def thaw(self) -> None: ...


class InMemoryDatabase:
    """Instances share the store object."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def store(self, timeout_ms: int = TIMEOUT_MS) -> Store:
        await self._store.start(KINDS)
        return self._store

    async def freeze(self) -> None:
        self._store.away = True

    async def thaw(self) -> None:
        self._store.away = False


class MongoDatabase:
    """A direct connection through a proxy: a replica set would announce its members' own addresses."""

    def __init__(self, stack: AsyncExitStack, proxy: Proxy, name: str, driver: Driver) -> None:
        self._stack = stack
        self._proxy = proxy
        self._driver = driver
        self.name = name

    async def store(self, timeout_ms: int = TIMEOUT_MS) -> MongoStore:
        url = f"mongodb://127.0.0.1:{self._proxy.port}/?directConnection=true"
        store = MongoStore(url, self.name, self._driver, timeout_ms)
        self._stack.push_async_callback(store.stop)
        await answered(lambda: store.start(KINDS))
        return store

    async def freeze(self) -> None:
        self._proxy.freeze()

    async def thaw(self) -> None:
        self._proxy.thaw()


@asynccontextmanager
async def read_documents(database: Any) -> AsyncIterator[Callable[[], int]]:
    """Counts the documents and index keys that the server examines in the block;
    call the result afterwards.
    """
    await database.drop_collection("system.profile")  # earlier entries
    await database.command("profile", 2)
    counted = 0
    try:
        yield lambda: counted
        looks = (
            await database["system.profile"]
            .find({"op": {"$in": ["query", "getmore", "command"]}})
            .to_list(None)
        )
        ours = [look for look in looks if "system.profile" not in look["ns"]]
        counted = sum(max(look.get("docsExamined", 0), look.get("keysExamined", 0)) for look in ours)
    finally:
        await database.command("profile", 0)


@asynccontextmanager
async def mongodb(mongo_url: str, name: str, driver: Driver) -> AsyncIterator[MongoDatabase]:
    first = urlsplit(mongo_url)
    server = first._replace(netloc=first.netloc.partition(",")[0]).geturl()
    async with Proxy(server, 27017) as proxy, AsyncExitStack() as stack:
        yield MongoDatabase(stack, proxy, name, driver)

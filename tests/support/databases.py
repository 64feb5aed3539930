"""The same faults for every store, so that one suite can test all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from chassis.bus.memory import MemoryStore
from chassis.connection_urls import password_of, user_of
from chassis.store.mongodb import MongoStore
from chassis.store.mongodb_client import Driver
from chassis.store.protocol import Store, StoreUnavailable
from journey.admin.database.admin import with_login
from tests.support.proxy import Proxy
from tests.support.recording_consumer import WAIT_S_MAX

KINDS = {"orders": ("status", "tags", "customer.id"), "shelves": ()}
TIMEOUT_MS = 30_000
SILENT_MS = 1_500  # time limit for responses that never come; expected responses may take longer


T = TypeVar("T")


async def until_available(ask: Callable[[], Awaitable[T]]) -> T:
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

    def __init__(self, stack: AsyncExitStack, url: str, name: str, driver: Driver, *, proxy: Proxy) -> None:
        """`url`: of the server itself; the store connects with its credentials."""
        self._stack = stack
        self._url = through(proxy, url)
        self._proxy = proxy
        self._driver = driver
        self.name = name

    async def store(self, timeout_ms: int = TIMEOUT_MS, *, started: bool = True) -> MongoStore:
        store = MongoStore(self._url, self.name, self._driver, timeout_ms)
        self._stack.push_async_callback(store.stop)
        if started:
            await until_available(lambda: store.start(KINDS))
        return store

    async def freeze(self) -> None:
        self._proxy.freeze()

    async def thaw(self) -> None:
        self._proxy.thaw()


@dataclass(frozen=True)
class ExecutedQuery:
    """A query that the server has executed: its plan, and how many documents and index keys it examined."""

    plan: str
    documents: int
    keys: int

    @property
    def examined(self) -> int:
        return max(self.documents, self.keys)


@asynccontextmanager
async def executed_queries(database: Any) -> AsyncIterator[list[ExecutedQuery]]:
    """Fills the list with the queries that the server executes in the block, when the block ends."""
    await database.drop_collection("system.profile")  # earlier entries
    await database.command("profile", 2)
    found: list[ExecutedQuery] = []
    try:
        yield found
        looks = (
            await database["system.profile"]
            .find({"op": {"$in": ["query", "getmore", "command"]}})
            .to_list(None)
        )
        found += [
            ExecutedQuery(
                look.get("planSummary", ""), look.get("docsExamined", 0), look.get("keysExamined", 0)
            )
            for look in looks
            if "system.profile" not in look["ns"]
        ]
    finally:
        await database.command("profile", 0)


@asynccontextmanager
async def read_documents(database: Any) -> AsyncIterator[Callable[[], int]]:
    """Counts the documents and index keys that the server examines in the block;
    call the result afterwards.
    """
    queries: list[ExecutedQuery] = []
    async with executed_queries(database) as executed:
        yield lambda: sum(each.examined for each in queries)
    queries += executed


@asynccontextmanager
async def mongodb(mongo_url: str, name: str, driver: Driver) -> AsyncIterator[MongoDatabase]:
    first = urlsplit(mongo_url)
    server = first._replace(netloc=first.netloc.partition(",")[0]).geturl()
    async with Proxy(server, 27017) as proxy, AsyncExitStack() as stack:
        yield MongoDatabase(stack, mongo_url, name, driver, proxy=proxy)


def through(proxy: Proxy, mongo_url: str) -> str:
    """The URL of a direct connection through the proxy, with the credentials of the server's URL."""
    direct = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
    return with_login(direct, user_of(mongo_url), password_of(mongo_url))

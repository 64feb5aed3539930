"""The client of one MongoDB database. It can be replaced while operations run."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from chassis import telemetry
from chassis.connection_urls import option_of
from chassis.tls import FileVersion, file_version

Driver = Literal["motor", "pymongo"]
# Raised if a client cannot be opened: a file is not readable, or unfit.
NOT_OPENED = (OSError, PyMongoError)


def opened_by(url: str) -> tuple[str, FileVersion | None]:
    """What a driver's client keeps from its creation: the URL, and the content of its tlsCAFile."""
    file = option_of(url, "tlsCAFile")
    return url, file_version(Path(file)) if file else None


class MongoClient:
    """Majority reads and writes, journaled. Opens connections when they are needed.

    `timeout_ms`: no operation takes longer. `url`: a function is called again at each `renew`.

    A driver's client keeps the password and the certificate authorities of its creation, so new ones need
    another client.
    """

    def __init__(
        self, url: str | Callable[[], str], database: str, driver: Driver, *, timeout_ms: int
    ) -> None:
        self._read_url = None if isinstance(url, str) else url
        self._url = url if isinstance(url, str) else url()
        self._opened_by = opened_by(self._url)
        self.name = database
        self._driver = driver
        self._timeout_ms = timeout_ms
        self._closing: set[asyncio.Task[None]] = set()
        self._renewing = asyncio.Lock()
        self._use(self._opened(self._url))

    def _opened(self, url: str) -> Any:
        make: Any = AsyncIOMotorClient if self._driver == "motor" else AsyncMongoClient
        return make(
            url,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            tz_aware=True,
            timeoutMS=self._timeout_ms,
            serverSelectionTimeoutMS=3_000,
            connectTimeoutMS=2_000,
            waitQueueTimeoutMS=2_000,
        )

    def _use(self, client: Any) -> None:
        self.client = client
        self.database = client.get_database(self.name)
        self._sessions: list[Any] = []  # starting and ending a session costs a thread each

    def database_of(self, session: Any) -> Any:
        """The database through the client of this session, which may have been replaced since; None: ours."""
        return self.database if session is None else session.client.get_database(self.name)

    async def session(self) -> Any:
        if self._sessions:
            return self._sessions.pop()
        started = self.client.start_session()
        return await started if inspect.isawaitable(started) else started

    def keep(self, session: Any) -> None:
        """Reuse a session. One of a replaced client is ended with its client."""
        if session.client is self.client:
            self._sessions.append(session)

    def replace(self, client: Any) -> None:
        """Open new connections, unless `client` has already been replaced.

        The connections of the old client close when its last operation must have ended.
        """
        if client is self.client:
            telemetry.log.warning("reconnecting to MongoDB", database=self.name)
            self._replace_by(self._opened(self._url))

    @property
    def is_renewable(self) -> bool:
        return self._read_url is not None

    async def renew(self) -> None:
        """Use the URL and the authorities as they are now, if they have changed and a login succeeds.

        Until then the present client stays: a file and the server change one after the other.
        """
        if self._read_url is None:
            return
        async with self._renewing:
            try:
                url = self._read_url()
            except OSError as error:
                telemetry.log.warning("the database password cannot be read", error=type(error).__name__)
                return
            wanted = opened_by(url)
            if wanted == self._opened_by:
                return
            try:
                opened = self._opened(url)
            except NOT_OPENED as error:
                telemetry.log.warning("unfit certificate authorities", error=str(error))
                return
            try:
                await opened.admin.command("ping")  # the connection logs in first
            except PyMongoError:
                await _close(opened)
                return
            what = "certificate authorities" if url == self._url else "password"
            self._url = url
            self._opened_by = wanted
            self._replace_by(opened)
        telemetry.log.info(f"using the new database {what}", database=self.name)

    def _replace_by(self, client: Any) -> None:
        closing = asyncio.create_task(self._close_later(self.client))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._use(client)

    async def _close_later(self, client: Any) -> None:
        try:
            await asyncio.sleep(2 * self._timeout_ms / 1_000)
        finally:
            await _close(client)

    async def close(self) -> None:
        """Close this client and the replaced ones."""
        for closing in self._closing:
            closing.cancel()
        if self._closing:
            await asyncio.wait(self._closing)
        await _close(self.client)


async def _close(client: Any) -> None:
    # Motor ends its sessions on the server before it returns, which would block the event loop.
    close = client.close
    await (close() if inspect.iscoroutinefunction(close) else asyncio.to_thread(close))

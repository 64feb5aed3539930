"""Rate limits: fixed windows of one minute, shared by all instances (docs/decisions/0035).

The counters are in the gateway's database. While it is unavailable, each instance counts in its own memory,
so that an unavailable database blocks no request that works without it. Then n instances allow n times the
quota.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from cachetools import TTLCache
from limits.aio.storage import MemoryStorage, MongoDBStorage, Storage
from limits.errors import StorageError
from starlette.requests import HTTPConnection

from chassis import telemetry
from chassis.circuit_breaker import CircuitBreaker
from chassis.store.mongodb_client import NOT_OPENED, opened_by
from chassis.telemetry.circuits import report_circuit
from gateway.http.problems import ProblemError, make_problem

_WINDOW_S = 60
_KNOWN_MAX = 20_000
STORE_S_MAX = 0.5  # a request does not wait longer for the counters
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


@dataclass(frozen=True)
class RateLimit:
    """`name`: the policy name in the headers (draft-ietf-httpapi-ratelimit-headers).

    `quota`: requests per minute.
    """

    name: str
    quota: int


class RateLimitExceeded(ProblemError):
    """The quota of the current window is used up.

    The problem names it (draft-ietf-httpapi-ratelimit-headers).
    """

    def __init__(self, limit: RateLimit, retry_after_s: int) -> None:
        detail = f"more than {limit.quota} requests in {_WINDOW_S} s: wait {retry_after_s} s"
        super().__init__(
            problem=make_problem("too-many", detail, type=QUOTA_EXCEEDED),
            headers={"Retry-After": str(retry_after_s)},
            extensions={"violated-policies": [limit.name]},
        )


class Counters(Protocol):
    @property
    def storage(self) -> Storage: ...

    async def renew(self) -> None:
        """Called after a failure: the password or the authorities may have changed."""
        ...


class _MongoStorage(MongoDBStorage):
    """Its `__del__` reads `storage`, which is missing if the client cannot be opened."""

    storage: Any = None


class SharedCounters:
    """The counters in MongoDB. Its crash may lose some counts, because no write waits for the disk.

    A driver's client keeps the password and the certificate authorities of its creation, so new ones need
    another storage.
    """

    def __init__(self, url: str | Callable[[], str], database: str, timeout_s: float) -> None:
        """`url`: a function is called again at each `renew`."""
        self._read_url: Callable[[], str] = partial(str, url) if isinstance(url, str) else url
        self._database = database
        self._limit_ms = int(timeout_s * 1000)
        self._opened_by = opened_by(self._read_url())
        self.storage = self._open(self._opened_by[0])

    async def renew(self) -> None:
        """Open another storage if the password or the authorities have changed.

        Raises NOT_OPENED if they cannot be read; the present storage stays.
        """
        if (wanted := opened_by(self._read_url())) != self._opened_by:
            opened = self._open(wanted[0])
            await self.close()
            self.storage = opened
            self._opened_by = wanted

    async def close(self) -> None:
        await asyncio.to_thread(self.storage.storage.close)

    def _open(self, url: str) -> _MongoStorage:
        options: dict[str, int] = {
            "w": 1,
            "timeoutMS": self._limit_ms,
            "serverSelectionTimeoutMS": self._limit_ms,
        }
        return _MongoStorage(
            url,
            database_name=self._database,
            counter_collection_name="rate_limits",
            window_collection_name="rate_limit_windows",  # limits creates it; fixed windows do not use it
            wrap_exceptions=True,
            **options,
        )


@asynccontextmanager
async def shared_counters(
    url: str | Callable[[], str], database: str, timeout_s: float = STORE_S_MAX
) -> AsyncIterator[SharedCounters]:
    counters = SharedCounters(url, database, timeout_s)
    try:
        yield counters
    finally:
        await counters.close()


@dataclass(frozen=True)
class _Window:
    remaining: int
    exceeded: bool
    ends_at: float


class _FixedWindows:
    """Fixed windows in a storage of `limits`, with one request to the storage for most hits.

    Its FixedWindowRateLimiter takes the same `incr`, and two more requests for what the headers say.
    """

    def __init__(self, storage: Callable[[], Storage]) -> None:
        self._storage = storage
        self._ends_at: TTLCache[str, float] = TTLCache(_KNOWN_MAX, _WINDOW_S)

    async def hit(self, limit: RateLimit, client: str) -> _Window:
        key, now = f"{limit.name}/{client}", time.time()
        count = await self._storage().incr(key, _WINDOW_S)
        if count == 1:
            self._ends_at[key] = now + _WINDOW_S
        elif self._ends_at.get(key, 0.0) <= now:  # another instance began the window
            self._ends_at[key] = await self._storage().get_expiry(key)
        ends_at = self._ends_at.get(key, now + _WINDOW_S)
        return _Window(max(0, limit.quota - count), count > limit.quota, ends_at)


class RateLimiter:
    """Counts requests, and stores the RateLimit headers of the response in the request's state.

    `shared`: the counters of all instances; None for a program with one instance. `timeout_s`: how long a
    request waits for them.
    """

    def __init__(
        self,
        shared: Counters | None = None,
        *,
        timeout_s: float = STORE_S_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s = timeout_s
        self._counters = shared
        self._shared = None if shared is None else _FixedWindows(lambda: shared.storage)
        memory = MemoryStorage()
        self._own = _FixedWindows(lambda: memory)
        changed = report_circuit("gateway", "rate_limits")
        self._breaker = CircuitBreaker(probe_s=timeout_s, clock=clock, changed=changed)

    async def hit(self, request: HTTPConnection, limit: RateLimit, client: str) -> None:
        """Counts a request of `client`. The headers describe the limit that was counted last.

        Raises RateLimitExceeded.
        """
        window = await self._count(limit, client)
        ends_in_s = min(_WINDOW_S, max(1, math.ceil(window.ends_at - time.time())))
        request.state.rate_limit = {
            "RateLimit-Policy": f'"{limit.name}";q={limit.quota};w={_WINDOW_S}',
            "RateLimit": f'"{limit.name}";r={window.remaining};t={ends_in_s}',
        }
        if window.exceeded:
            raise RateLimitExceeded(limit, ends_in_s)

    async def _count(self, limit: RateLimit, client: str) -> _Window:
        if self._shared is not None and self._breaker.allow_request():
            try:
                async with asyncio.timeout(self._timeout_s):
                    window = await self._shared.hit(limit, client)
            except (StorageError, TimeoutError) as error:
                self._breaker.record_failure()
                telemetry.log.warning("rate limits counted per instance", error=type(error).__name__)
                await self._renew()
            else:
                self._breaker.record_success()
                return window
        return await self._own.hit(limit, client)

    async def _renew(self) -> None:
        with suppress(*NOT_OPENED):  # a file is not readable: tried again after the next failure
            if self._counters is not None:
                await self._counters.renew()

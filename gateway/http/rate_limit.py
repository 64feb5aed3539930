"""Rate limits: fixed windows of one minute, shared by all instances (docs/decisions/0035).

The counters are in the gateway's database. While it is unavailable, each instance counts in its own memory,
so that an unavailable database blocks no request that works without it. Then n instances allow n times the
quota.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cachetools import TTLCache
from limits.aio.storage import MemoryStorage, MongoDBStorage, Storage
from limits.errors import StorageError
from starlette.requests import HTTPConnection

from chassis import telemetry
from chassis.circuit_breaker import CircuitBreaker
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


@asynccontextmanager
async def shared_counters(
    mongo_url: str, database: str, timeout_s: float = STORE_S_MAX
) -> AsyncIterator[Storage]:
    """Opens the counters in MongoDB. Its crash may lose some counts, because no write waits for the disk."""
    limit_ms = int(timeout_s * 1000)
    options: dict[str, int] = {"w": 1, "timeoutMS": limit_ms, "serverSelectionTimeoutMS": limit_ms}
    storage = MongoDBStorage(
        mongo_url,
        database_name=database,
        counter_collection_name="rate_limits",
        window_collection_name="rate_limit_windows",  # limits creates it; fixed windows do not use it
        wrap_exceptions=True,
        **options,
    )
    try:
        yield storage
    finally:
        await asyncio.to_thread(storage.storage.close)


@dataclass(frozen=True)
class _Window:
    remaining: int
    exceeded: bool
    ends_at: float


class _FixedWindows:
    """Fixed windows in a storage of `limits`, with one request to the storage for most hits.

    Its FixedWindowRateLimiter takes the same `incr`, and two more requests for what the headers say.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._ends_at: TTLCache[str, float] = TTLCache(_KNOWN_MAX, _WINDOW_S)

    async def hit(self, limit: RateLimit, client: str) -> _Window:
        key, now = f"{limit.name}/{client}", time.time()
        count = await self._storage.incr(key, _WINDOW_S)
        if count == 1:
            self._ends_at[key] = now + _WINDOW_S
        elif self._ends_at.get(key, 0.0) <= now:  # another instance began the window
            self._ends_at[key] = await self._storage.get_expiry(key)
        ends_at = self._ends_at.get(key, now + _WINDOW_S)
        return _Window(max(0, limit.quota - count), count > limit.quota, ends_at)


class RateLimiter:
    """Counts requests, and stores the RateLimit headers of the response in the request's state.

    `shared`: the counters of all instances; None for a program with one instance. `timeout_s`: how long a
    request waits for them.
    """

    def __init__(
        self,
        shared: Storage | None = None,
        *,
        timeout_s: float = STORE_S_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s = timeout_s
        self._shared = None if shared is None else _FixedWindows(shared)
        self._own = _FixedWindows(MemoryStorage())
        self._breaker = CircuitBreaker(probe_s=timeout_s, clock=clock)

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
            else:
                self._breaker.record_success()
                return window
        return await self._own.hit(limit, client)

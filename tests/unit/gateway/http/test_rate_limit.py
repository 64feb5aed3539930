"""Rate limits: one quota for all instances, and one per instance while the database is unavailable."""

import asyncio
import gc
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from limits.aio.storage import MemoryStorage
from limits.errors import StorageError
from pymongo import AsyncMongoClient
from starlette.requests import Request

from chassis.circuit_breaker import FAILURES_MAX
from chassis.store.mongodb_client import NOT_OPENED
from gateway.http.rate_limit import (
    STORE_S_MAX,
    RateLimit,
    RateLimiter,
    RateLimitExceeded,
    SharedCounters,
    shared_counters,
)
from tests.support.shops.gateway import GatewayFixture

LIMIT = RateLimit("user", 3)
WAIT_S_MAX = 20.0  # on a busy machine
PATH = "/api/v1/orders"
UNREACHABLE = "mongodb://127.0.0.1:9/?directConnection=true"


class FailingCounters(MemoryStorage):
    """Shared counters that tests can make unavailable. `asked`: how often they were asked to count."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = self.renewed = 0

    async def renew(self) -> None:
        self.renewed += 1

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        self.asked += 1
        if self.away:
            raise StorageError(ConnectionError("away"))
        return await super().incr(key, expiry, amount)


async def allowed(limiter: RateLimiter, requests: int, client: str = "ada") -> list[bool]:
    return [await _is_allowed(limiter, client) for _ in range(requests)]


async def _is_allowed(limiter: RateLimiter, client: str) -> bool:
    try:
        await limiter.hit(Request({"type": "http"}), LIMIT, client)
    except RateLimitExceeded:
        return False
    return True


@pytest.mark.real
async def test_two_instances_share_one_limit(real_infrastructure: Any, database_prefix: str) -> None:
    url, name = real_infrastructure.mongo_url, f"{database_prefix}gateway"
    async with (
        shared_counters(url, name, WAIT_S_MAX) as one,
        shared_counters(url, name, WAIT_S_MAX) as other,
        AsyncMongoClient[dict[str, Any]](url) as client,
    ):
        limiters = [RateLimiter(each, timeout_s=WAIT_S_MAX) for each in (one, other)]
        instances = [GatewayFixture(rate_limiter=each, rate_anonymous=4) for each in limiters]
        guest = [instance.client() for instance in instances]
        responses = [await guest[number % 2].get(PATH) for number in range(6)]
        assert [response.status_code for response in responses] == [401, 401, 401, 401, 429, 429]
        policies = [response.headers["RateLimit"].split(";") for response in responses]
        assert [remaining for _, remaining, _ in policies] == ["r=3", "r=2", "r=1", "r=0", "r=0", "r=0"]
        assert all(40 <= int(resets.removeprefix("t=")) <= 60 for _, _, resets in policies)
        counters = client[name]["rate_limits"]
        assert [found["count"] async for found in counters.find()] == [6]
        assert (await counters.index_information())["expireAt_1"]["expireAfterSeconds"] == 0


@pytest.mark.real
async def test_a_new_window_begins_for_all_instances(real_infrastructure: Any, database_prefix: str) -> None:
    url, name = real_infrastructure.mongo_url, f"{database_prefix}gateway"
    async with (
        shared_counters(url, name, WAIT_S_MAX) as one,
        shared_counters(url, name, WAIT_S_MAX) as other,
        AsyncMongoClient[dict[str, Any]](url) as client,
    ):
        first, second = [RateLimiter(each, timeout_s=WAIT_S_MAX) for each in (one, other)]
        assert await allowed(first, 3) == [True] * 3
        assert await allowed(second, 1) == [False]
        await client[name]["rate_limits"].update_many(
            {}, [{"$set": {"expireAt": {"$subtract": ["$$NOW", 1]}}}]
        )
        assert await allowed(second, 2) == [True] * 2
        assert await allowed(first, 2) == [True, False]


@pytest.mark.real
async def test_concurrent_requests_are_counted_exactly(
    real_infrastructure: Any, database_prefix: str
) -> None:
    url, name = real_infrastructure.mongo_url, f"{database_prefix}gateway"
    async with (
        shared_counters(url, name, WAIT_S_MAX) as one,
        shared_counters(url, name, WAIT_S_MAX) as other,
        AsyncMongoClient[dict[str, Any]](url) as client,
    ):
        limiters = [RateLimiter(each, timeout_s=WAIT_S_MAX) for each in (one, other)]
        for user in ("ada", "bob", "eve"):
            responses = await asyncio.gather(
                *(allowed(limiters[number % 2], 1, user) for number in range(40))
            )
            assert [response for [response] in responses].count(True) == LIMIT.quota
        found = await client[name]["rate_limits"].find().to_list(None)
        assert {each["_id"]: each["count"] for each in found} == dict.fromkeys(
            ("user/ada", "user/bob", "user/eve"), 40
        )


async def test_without_the_database_each_instance_counts_by_itself() -> None:
    async with shared_counters(UNREACHABLE, "gateway") as counters:
        gateway = GatewayFixture(rate_limiter=RateLimiter(counters), rate_anonymous=2)
        guest = gateway.client()
        began_at = time.monotonic()
        responses = [await guest.get(PATH) for _ in range(3)]
        assert [response.status_code for response in responses] == [401, 401, 429]
        assert time.monotonic() - began_at < 10  # 0.5 s each, not the driver's 30 s


async def test_an_unavailable_database_gets_few_requests() -> None:
    now = 1000.0
    counters = FailingCounters()
    limiter = RateLimiter(SimpleNamespace(storage=counters, renew=counters.renew), clock=lambda: now)
    counters.away = True
    assert await allowed(limiter, 20) == [True] * 3 + [False] * 17
    assert counters.asked == counters.renewed == FAILURES_MAX
    counters.away = False
    now += 60
    assert await allowed(limiter, 4) == [True] * 3 + [
        False
    ]  # the shared counter, which has counted nothing yet
    assert counters.asked == FAILURES_MAX + 4


async def test_counters_in_memory_are_per_limit_and_client() -> None:
    limiter = RateLimiter()
    assert await allowed(limiter, 4, "ada") == [True, True, True, False]
    assert await allowed(limiter, 1, "bob") == [True]
    await limiter.hit(Request({"type": "http"}), RateLimit("orders", 1), "ada")


def test_counters_that_cannot_be_opened_leave_no_error_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """limits' storage closes its client in `__del__`, also if there is none."""
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_value))
    unfit = tmp_path / "unfit.pem"
    unfit.write_text("no certificate")
    with pytest.raises(NOT_OPENED):
        SharedCounters(f"mongodb://localhost/?tls=true&tlsCAFile={unfit}", "gateway", STORE_S_MAX)
    gc.collect()
    assert unraisable == []

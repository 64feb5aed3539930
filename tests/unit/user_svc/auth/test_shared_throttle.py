"""The login throttle counts in the database, for all instances of user_svc."""

from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded, StoreUnavailable
from user_svc.auth.login_attempts import FREE_ATTEMPTS, TooManyAttempts
from user_svc.auth.login_throttle import Throttle, WrongPassword
from user_svc.service import user_service

NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def test_unrelated_failures_are_not_counted() -> None:
    throttle = Throttle(a_runtime(MemoryStore()), per_minute=1_000)
    for _ in range(20):
        with pytest.raises(ConnectionError):
            async with throttle.attempt("ada", "here"):
                raise ConnectionError
    async with throttle.attempt("ada", "here"):
        pass


async def test_a_right_password_counts_although_the_database_fails_afterwards() -> None:
    store = FailingStore()
    throttle = Throttle(a_runtime(store), per_minute=1_000)
    async with throttle.attempt("ada", "here"):
        store.away = True
    with pytest.raises(StoreUnavailable):
        async with throttle.attempt("ada", "here"):
            pytest.fail("an attempt that cannot be counted was allowed")


async def test_instances_share_the_attempts_and_a_restart_keeps_them() -> None:
    store = MemoryStore()
    throttles = [Throttle(a_runtime(store), per_minute=1_000) for _ in range(3)]
    for number in range(FREE_ATTEMPTS):
        with pytest.raises(WrongPassword):
            async with throttles[number % 3].attempt("ada", "here"):
                raise WrongPassword
    for throttle in (*throttles, Throttle(a_runtime(store), per_minute=1_000)):
        with pytest.raises(TooManyAttempts):
            await throttle.hit("ada", "here")


class FailingStore(MemoryStore):
    """A database that tests can make unavailable."""

    away = False

    async def load(self, kind: str, keys: Collection[str]) -> dict[str, Loaded]:
        if self.away:
            raise StoreUnavailable("away")
        return await super().load(kind, keys)


def a_runtime(store: MemoryStore) -> Runtime:
    service = user_service()
    bus = MemoryBus(MemoryBroker(build([service])), service.name)
    return Runtime(service, bus, store, clock=lambda: NOW)

"""Database errors are described in plain language, and temporary ones do not become StoreRefused."""

import asyncio

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from chassis.store import mongodb_errors
from chassis.store.mongodb_errors import ConnectionUnusable
from chassis.store.protocol import StoreRefused, StoreUnavailable


@pytest.mark.parametrize(
    ("error", "becomes", "expected"),
    [
        (OperationFailure("no space", 14031), StoreUnavailable, "the disk of MongoDB is full"),
        (OperationFailure("28: No space left on device", 8), StoreUnavailable, "the disk of MongoDB is full"),
        (
            ServerSelectionTimeoutError("No servers yet, Topology Description: <…>"),
            StoreUnavailable,
            "no primary",
        ),
        (
            NetworkTimeout("db:27017: timed out (configured timeouts: …)"),
            StoreUnavailable,
            "does not answer in time",
        ),
        (AutoReconnect("connection closed"), StoreUnavailable, "does not answer in time"),
        (
            ConfigurationError("Sessions are not supported by this MongoDB deployment"),
            ConnectionUnusable,
            "cannot carry transactions",
        ),
        (ConfigurationError("unknown option"), StoreRefused, "unknown option"),
        (OperationFailure("Authentication failed.", 18), StoreRefused, "refuses the user, the password"),
    ],
)
async def test_each_error_is_described(error: PyMongoError, becomes: type[Exception], expected: str) -> None:
    with pytest.raises(becomes, match=expected) as reported:
        async with mongodb_errors.translated_errors():
            raise error
    assert "Topology" not in str(reported.value) and type(error).__name__ not in str(reported.value)


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (RuntimeError("can't start new thread"), StoreUnavailable),
        (OSError(24, "Too many open files"), StoreUnavailable),
        (asyncio.CancelledError(), StoreUnavailable),
        (RecursionError("maximum recursion depth exceeded"), StoreRefused),
    ],
    ids=repr,
)
async def test_what_drivers_let_through_is_translated(error: BaseException, becomes: type[Exception]) -> None:
    with pytest.raises(becomes):
        async with mongodb_errors.translated_errors():
            raise error


async def test_a_real_cancellation_passes() -> None:
    async def wait() -> None:
        async with mongodb_errors.translated_errors():
            await asyncio.sleep(60)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_full_disk_dead_letters_nothing() -> None:
    """The messages wait until there is space.

    StoreRefused would put each on the retry ladder and finally dead-letter it.
    """
    full = BulkWriteError({"writeErrors": [{"code": 14031, "errmsg": "no space"}], "writeConcernErrors": []})
    with pytest.raises(StoreUnavailable, match="disk of MongoDB is full"):
        mongodb_errors.only_conflicts(full)

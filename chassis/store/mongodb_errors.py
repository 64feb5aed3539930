"""Classifies MongoDB's errors (unknown outcome, write conflict,
refusal) and describes them in plain language.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from chassis.store.protocol import StoreRefused, StoreUnavailable

# Server codes that mean a write conflict: duplicate key, write conflict, and no such transaction, which the
# next command of an aborted transaction gets.
FASTER = {11000, 112, 251}
# Temporary ones: host unreachable, network timeout, shutdown in progress, stepdown, recovering, exceeded time
# limit, write concern, snapshot unavailable, and a full disk (manual: "Error Codes").
_DISK_FULL = 14031
_LOGIN_REFUSED = {13, 18}
_PASSING = {
    _DISK_FULL,
    6,
    7,
    50,
    64,
    89,
    91,
    112,
    134,
    189,
    246,
    262,
    9001,
    10107,
    11600,
    11602,
    13435,
    13436,
}
_UNKNOWN_OUTCOME = ("RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult")


@asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    """Translate errors: an unknown outcome into StoreUnavailable, a final error into StoreRefused."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        message = str(error)[:300]
        if isinstance(error, BSONError):
            raise StoreRefused(message) from error
        unknown = error.timeout or any(error.has_error_label(label) for label in _UNKNOWN_OUTCOME)
        passing = isinstance(error, OperationFailure) and error.code in _PASSING
        if unknown or passing or isinstance(error, ConnectionFailure) or _is_full(error):
            raise StoreUnavailable(_described(error) or message) from error
        raise StoreRefused(_described(error) or message) from error


def _is_full(error: PyMongoError) -> bool:
    return getattr(error, "code", None) == _DISK_FULL or "No space left on device" in str(error)


def _described(error: PyMongoError) -> str:
    """A description of a known cause, else an empty string; the library only provides exception names."""
    code = error.code if isinstance(error, OperationFailure) else None
    if _is_full(error):
        return "the disk of MongoDB is full"
    if code in _LOGIN_REFUSED:
        return f"MongoDB refuses the user, the password or the right: {str(error)[:200]}"
    if isinstance(error, ServerSelectionTimeoutError):
        return "MongoDB does not answer, or has no primary"
    if isinstance(error, ConnectionFailure) or error.timeout:
        return "MongoDB does not answer in time"
    return ""


def only_conflicts(error: BulkWriteError) -> None:
    """Return if all errors are write conflicts; else raise."""
    details = error.details or {}
    others = [each for each in details.get("writeErrors", []) if each["code"] not in FASTER]
    if any(each["code"] == _DISK_FULL for each in others):
        raise StoreUnavailable("the disk of MongoDB is full") from error
    if details.get("writeConcernErrors") or any(each["code"] in _PASSING for each in others):
        raise StoreUnavailable("the majority did not confirm the write in time") from error
    if others:
        raise StoreRefused(str(others[0].get("errmsg", ""))[:300]) from error

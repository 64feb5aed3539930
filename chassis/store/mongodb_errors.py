"""Classifies MongoDB's errors (unknown outcome, write conflict,
refusal) and describes them in plain language.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from chassis.cancellation import is_being_cancelled
from chassis.store.protocol import StoreRefused, StoreUnavailable

# Server codes that mean a write conflict: duplicate key, write conflict, and no such transaction, which the
# next command of an aborted transaction gets.
WRITE_CONFLICT_CODES = {11000, 112, 251}
# Temporary ones: host unreachable, network timeout, shutdown in progress, stepdown, recovering, exceeded time
# limit, write concern, snapshot unavailable, and a full disk (manual: "Error Codes").
_DISK_FULL = 14031
LOGIN_FAILED = 18
_LOGIN_REFUSED = {13, LOGIN_FAILED}
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
# A connection that was opened to a member that was not readable in that moment (it had been frozen, or was in
# recovery). pymongo keeps it and never asks again, so every transaction on it fails.
_WITHOUT_SESSIONS = "Sessions are not supported by this MongoDB deployment"
# The driver gives the reason of OpenSSL within a long text only.
_REFUSED_CERTIFICATE = re.compile(r"certificate verify failed: (?P<why>.*?)\.? \(_ssl")
_UNKNOWN_OUTCOME = ("RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult")


class ConnectionUnusable(StoreUnavailable):
    """Nothing was written. The same operation succeeds on another connection."""


@asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    """Translate errors: an unknown outcome into StoreUnavailable, a final error into StoreRefused.

    The drivers let errors of the system and of the event loop through, such as the RuntimeError of a thread
    that cannot be started, or an unrequested cancellation.
    """
    try:
        yield
    except asyncio.CancelledError:
        if is_being_cancelled():
            raise
        raise StoreUnavailable("the connection to MongoDB died") from None
    except RecursionError as error:
        raise StoreRefused("MongoDB cannot store such a deeply nested document") from error
    except (OSError, RuntimeError) as error:
        raise StoreUnavailable(f"MongoDB cannot be asked: {error}") from error
    except (PyMongoError, BSONError) as error:
        message = str(error)[:300]
        if isinstance(error, BSONError):
            raise StoreRefused(message) from error
        if isinstance(error, ConfigurationError) and _WITHOUT_SESSIONS in message:
            raise ConnectionUnusable("a connection to MongoDB cannot carry transactions") from error
        unknown = error.timeout or any(error.has_error_label(label) for label in _UNKNOWN_OUTCOME)
        passing = isinstance(error, OperationFailure) and error.code in _PASSING
        if unknown or passing or isinstance(error, ConnectionFailure) or _is_full(error):
            raise StoreUnavailable(_described(error) or message) from error
        raise StoreRefused(_described(error) or message) from error


def refused_certificate(error: PyMongoError) -> str:
    """Why the server's certificate was refused; empty for another error."""
    found = _REFUSED_CERTIFICATE.search(str(error))
    return found["why"] if found else ""


def _is_full(error: PyMongoError) -> bool:
    return getattr(error, "code", None) == _DISK_FULL or "No space left on device" in str(error)


def _described(error: PyMongoError) -> str:
    """A description of a known cause, else an empty string; the library only provides exception names."""
    code = error.code if isinstance(error, OperationFailure) else None
    if _is_full(error):
        return "the disk of MongoDB is full"
    if code in _LOGIN_REFUSED:
        return f"MongoDB refuses the user, the password or the right: {str(error)[:200]}"
    if why := refused_certificate(error):
        return f"MongoDB's certificate is refused: {why}; check TLS_CA_FILE and MONGO_URL"
    if isinstance(error, ServerSelectionTimeoutError):
        return "MongoDB does not answer, or has no primary"
    if isinstance(error, ConnectionFailure) or error.timeout:
        return "MongoDB does not answer in time"
    return ""


def only_conflicts(error: BulkWriteError) -> None:
    """Return if all errors are write conflicts; else raise."""
    details = error.details or {}
    others = [each for each in details.get("writeErrors", []) if each["code"] not in WRITE_CONFLICT_CODES]
    if any(each["code"] == _DISK_FULL for each in others):
        raise StoreUnavailable("the disk of MongoDB is full") from error
    if details.get("writeConcernErrors") or any(each["code"] in _PASSING for each in others):
        raise StoreUnavailable("the majority did not confirm the write in time") from error
    if others:
        raise StoreRefused(str(others[0].get("errmsg", ""))[:300]) from error

"""Times each operation on MongoDB, and translates its errors."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prometheus_client import Histogram
from pymongo.errors import OperationFailure, PyMongoError

from chassis.store.mongodb_errors import LOGIN_FAILED, refused_certificate, translated_errors
from chassis.store.protocol import StoreRefused, StoreUnavailable
from chassis.telemetry import metrics

SEVERAL = "several"


class MongoOperations:
    """The operations of one store."""

    def __init__(self, service: str, renew: Callable[[], Awaitable[None]] | None = None) -> None:
        """`service`: for the metrics. `renew`: reads password and authorities again; called when the login or
        the server's certificate is refused.
        """
        self._service = service
        self._renew = renew
        self._durations: dict[tuple[str, ...], Histogram] = {}

    @asynccontextmanager
    async def run(self, name: str, *kinds: str) -> AsyncIterator[None]:
        """`name`: the operation. `kinds`: the collections. Raises StoreUnavailable or StoreRefused."""
        began = time.perf_counter()
        error_type = ""
        try:
            async with translated_errors(), self._renewed_logins(name):
                yield
        except (StoreUnavailable, StoreRefused) as error:
            error_type = type(error).__name__
            raise
        finally:
            kind = kinds[0] if len(kinds) == 1 else SEVERAL
            self._duration((self._service, name, kind, error_type)).observe(time.perf_counter() - began)

    @asynccontextmanager
    async def _renewed_logins(self, name: str) -> AsyncIterator[None]:
        """After a refused login or certificate, use a new password or new authorities, if there are any.

        The operation was not carried out. A wrong password at the start ends the process with a message.
        """
        try:
            yield
        except OperationFailure as error:
            if self._renew is None or name == "start" or error.code != LOGIN_FAILED:
                raise
            await self._renew()
            raise StoreUnavailable("MongoDB refuses the password; reading it again") from error
        except PyMongoError as error:
            if self._renew is not None and refused_certificate(error):
                await self._renew()
            raise

    def _duration(self, labels: tuple[str, ...]) -> Histogram:
        found = self._durations.get(labels)
        if found is None:
            found = self._durations[labels] = metrics.DB_CLIENT_DURATION.labels(*labels)
        return found

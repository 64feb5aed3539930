"""Attempts that are repeated while a server is unavailable, for a service that starts."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from chassis import telemetry
from chassis.backoff import Backoff
from chassis.bus.protocol import BusUnavailable, QueueMissing
from chassis.store.protocol import StoreUnavailable

T = TypeVar("T")


async def patiently(what: str, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of the attempt as soon as it succeeds. Raises only errors that a retry cannot fix."""
    backoff = Backoff(0.2, 2.5, jitter=1.0)
    while True:
        try:
            return await attempt()
        except (StoreUnavailable, BusUnavailable, QueueMissing, TimeoutError) as error:
            telemetry.log.warning("waiting", for_=what, error=repr(error))
            await backoff.pause()

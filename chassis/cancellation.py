"""The end of background tasks, and unrequested cancellations."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 2.0


async def cancel(tasks: Iterable[asyncio.Task[Any]], again_s: float = AGAIN_S) -> None:
    """Cancel tasks, and wait until they have ended; what they raise is ignored.

    The cancellation is repeated every `again_s` seconds. Before Python 3.12 `asyncio.wait_for`, with which
    PyMongo writes to its connections, loses one that arrives as its future completes (CPython issue 86296).
    """
    every = set(tasks)
    pending = every
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)
    await asyncio.gather(*every, return_exceptions=True)


def is_being_cancelled() -> bool:
    """Whether a cancellation of the current task was requested.

    Drivers also raise CancelledError in calls on a connection that dies.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0

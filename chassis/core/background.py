"""Keeps the background tasks of a service running, whatever they raise."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from chassis import telemetry
from chassis.backoff import Backoff
from chassis.cancellation import is_being_cancelled
from chassis.telemetry import metrics

_PAUSE_S_MIN = 1.0
PAUSE_S_MAX = 60.0

Work = Callable[[], Coroutine[Any, Any, None]]
BackgroundTask = Literal["timers", "sweeper", "retention", "health", "samples", "event loop lag"]


async def keep_running(
    work: Work, *, service: str, task: BackgroundTask, on_error: Callable[[BaseException], None]
) -> None:
    """Run the work until it ends or is cancelled. After an error, start it again with growing pauses.

    An error of a background task must not stop the handling of messages, and a restart of the process would
    not help: one document may cause it, or a right that is missing. `on_error` learns of each.
    """
    loop = asyncio.get_running_loop()
    errors = metrics.BACKGROUND_ERRORS.labels(service, task)
    backoff = Backoff(_PAUSE_S_MIN, PAUSE_S_MAX)
    while True:
        began = loop.time()
        try:
            await work()
            return
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            failure: BaseException = error  # a dying connection "cancelled" it
        except Exception as error:
            failure = error
        errors.inc()
        telemetry.log.error("background task failed", service=service, task=task, exc_info=failure)
        on_error(failure)
        if loop.time() - began > PAUSE_S_MAX:
            backoff.reset()
        await backoff.pause()

"""What faults of all kinds of servers have in common: to freeze a process, and to wait until all is well."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import psutil

from journey.infra.processes import Processes

POLL_S = 0.2


@contextmanager
def frozen(processes: Processes, name: str) -> Iterator[None]:
    """It keeps its connections and its memory, and does nothing; it always goes on afterwards."""
    record = processes.running(name)
    if record is None:
        raise LookupError(f"{name} does not run, so it cannot be frozen")
    process = psutil.Process(record.pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


async def until(well: Callable[[], Awaitable[bool]], otherwise: str, limit_s: float) -> None:
    """Asks again and again; `otherwise` is the complaint if it takes longer than the limit."""
    try:
        async with asyncio.timeout(limit_s):
            while not await well():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise TimeoutError(f"after {limit_s:.0f} s {otherwise}") from None

"""What faults of all kinds of servers have in common: to freeze a process."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from journey.infra.processes import Processes


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

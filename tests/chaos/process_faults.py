"""Shared by the faults of all kinds of servers: freezes a process."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from journey.devenv.infra.processes import Processes


@contextmanager
def frozen(processes: Processes, name: str) -> Iterator[None]:
    """SIGSTOP: it keeps its connections and memory, and does nothing; it is always resumed afterwards."""
    record = processes.running(name)
    if record is None:
        raise LookupError(f"{name} is not running, so it cannot be frozen")
    process = psutil.Process(record.pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()

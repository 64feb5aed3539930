"""Locks: one command at a time per state directory, so that two commands do not both start a broker.

And one installation at a time per user.
"""

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import private_dir
from journey.devenv.infra.commands import APT_TIMEOUT_S
from journey.devenv.infra.model import cache_dir

WAIT_S = 300.0
POLL_S = 0.1


@contextlib.asynccontextmanager
async def installing() -> AsyncIterator[None]:
    """apt allows one installation at a time. Inside, check again whether the package was installed meanwhile."""
    async with locked(cache_dir(), wait_s=2 * APT_TIMEOUT_S):
        yield


@contextlib.asynccontextmanager
async def locked(state_dir: Path, *, wait_s: float = WAIT_S) -> AsyncIterator[None]:
    with _open(state_dir) as file:
        for _ in range(int(wait_s / POLL_S)):
            if _taken(file):
                break
            await asyncio.sleep(POLL_S)
        else:
            raise InfrastructureUnavailable(
                f"another process is using {state_dir}", "wait for it, or end it, then retry"
            )
        yield


def _open(state_dir: Path) -> IO[str]:
    private_dir(state_dir)
    (state_dir / ".gitignore").write_text("*\n")  # the directory contains passwords
    return (state_dir / "lock").open("w")


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

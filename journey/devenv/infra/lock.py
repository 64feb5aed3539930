"""Locks: one command at a time per state directory, so that two commands do not both start a broker.

And one installation at a time per user.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from filelock import AsyncFileLock, Timeout

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import private_dir
from journey.devenv.infra.commands import APT_TIMEOUT_S
from journey.devenv.infra.model import cache_dir

LOCK_FILE = "lock"
WAIT_S = 300.0
_POLL_S = 0.1


@contextlib.asynccontextmanager
async def installing() -> AsyncIterator[None]:
    """apt allows one installation at a time.

    Inside, check again whether the package is installed by now.
    """
    async with locked(cache_dir(), wait_s=2 * APT_TIMEOUT_S):
        yield


@contextlib.asynccontextmanager
async def locked(state_dir: Path, *, wait_s: float = WAIT_S) -> AsyncIterator[None]:
    """Raises InfrastructureUnavailable if another process or task holds the lock for longer than `wait_s`.

    The lock file stays: it shows that the directory was used.
    """
    private_dir(state_dir)
    (state_dir / ".gitignore").write_text("*\n")  # the directory contains passwords
    lock = AsyncFileLock(state_dir / LOCK_FILE, poll_interval=_POLL_S, preserve_lock_file=True)
    try:
        await lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise InfrastructureUnavailable(
            f"another process is using {state_dir}", "wait for it, or end it, then retry"
        ) from error
    try:
        yield
    finally:
        await lock.release()

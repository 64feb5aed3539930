"""One command at a time uses a state directory.

The kernel frees the lock of a process that ends in any way.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra.lock import locked

HOLDER = """
import asyncio, sys
from pathlib import Path
from journey.devenv.infra.lock import locked

async def hold() -> None:
    async with locked(Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


async def holder_of(state_dir: Path) -> asyncio.subprocess.Process:
    """Another process that holds the lock of the directory."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, state_dir, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process


async def test_a_killed_process_releases_its_directory(tmp_path: Path) -> None:
    holder = await holder_of(tmp_path)
    try:
        with pytest.raises(InfrastructureUnavailable, match="another process is using"):
            async with locked(tmp_path, wait_s=0.3):
                pass
    finally:
        holder.kill()
        await holder.wait()
    async with locked(tmp_path, wait_s=0.3):
        pass


async def test_two_tasks_of_one_process_take_turns(tmp_path: Path) -> None:
    inside, most = 0, 0

    async def use() -> None:
        nonlocal inside, most
        async with locked(tmp_path):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.02)
            inside -= 1

    await asyncio.gather(*(use() for _ in range(5)))
    assert most == 1


async def test_an_error_inside_frees_the_directory(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with locked(tmp_path):
            raise ZeroDivisionError
    async with locked(tmp_path, wait_s=0.3):
        pass


async def test_a_cancelled_waiter_does_not_keep_the_lock(tmp_path: Path) -> None:
    async def wait() -> None:
        async with locked(tmp_path):
            pass

    async with locked(tmp_path):
        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0.3)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    async with locked(tmp_path, wait_s=0.3):
        pass


async def test_the_lock_file_remains_after_use(tmp_path: Path) -> None:
    async with locked(tmp_path / "state"):
        pass
    assert (tmp_path / "state" / "lock").exists()
    assert (tmp_path / "state" / ".gitignore").read_text() == "*\n"
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0

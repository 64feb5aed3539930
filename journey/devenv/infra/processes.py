"""Child processes that outlive the command that started them, and can be stopped by name from another shell.

Each is recorded with pid and start time, so a pid that was reused by another program is left alone.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.private_files import private_dir, write_private
from journey.devenv.infra.causes import why

# The wall-clock start time changes when the clock is adjusted; it is the fallback if /proc is missing.
START_TIME_SLACK_S = 2.0
FILES_OPEN_MAX = 65_536
POLL_S = 0.1

# Children of this process must be waited for, or they stay as zombies that look alive.
_ours: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class ProcessRecord:
    """A process as it was started.

    `started` distinguishes processes with the same pid, even after a clock change; "" where /proc is missing.
    """

    name: str
    pid: int
    created: float
    log: str
    started: str = ""


class Processes:
    """The processes recorded in one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir.absolute()
        self.dir = self.state_dir / "processes"

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> ProcessRecord:
        """Start the command in its own session, unless it is already running;
        its output is appended to the log.
        """
        if (running := self.running(name)) is not None:
            return running
        _raise_open_files_limit()
        private_dir(log.parent)
        with log.open("ab") as output:
            pid = self.spawn([str(argument) for argument in command], output, env, cwd)
        try:
            created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            created = time.time()
        record = ProcessRecord(name, pid, created, str(log), _start_ticks(pid))
        write_private(self._path(name), json.dumps(asdict(record)) + "\n")
        return record

    def spawn(
        self, command: list[str], output: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None
    ) -> int:
        """Start a process in its own session and return its pid."""
        child = subprocess.Popen(
            command,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _ours[child.pid] = child
        return child.pid

    def running(self, name: str) -> ProcessRecord | None:
        record = self._read(name)
        return record if record is not None and _process(record) is not None else None

    def recorded(self) -> list[str]:
        """The names of all processes that were started and not stopped, dead or alive."""
        return sorted(path.stem for path in self.dir.glob("*.json"))

    async def stop(self, name: str, *, grace_s: float = 20.0) -> bool:
        """SIGTERM, then SIGKILL after `grace_s`, then delete the record.

        Returns whether the process was running.
        """
        return await self._end(name, signal.SIGTERM, grace_s)

    async def kill(self, name: str) -> bool:
        """SIGKILL, as in a power cut."""
        return await self._end(name, signal.SIGKILL, 5.0)

    async def _end(self, name: str, how: signal.Signals, grace_s: float) -> bool:
        record = self._read(name)
        leader = None if record is None else _process(record)
        if record is not None and leader is not None:
            family = _family(leader)
            _signal(family if how is signal.SIGKILL else [leader], how)
            await _gone([leader], grace_s)
            _signal(family, signal.SIGKILL)
            if not await _gone(family, 5.0):
                raise RuntimeError(f"{name} (pid {record.pid}) did not end after SIGKILL")
        self._path(name).unlink(missing_ok=True)
        return leader is not None

    async def wait_until_ready(
        self, name: str, ready: Callable[[], Awaitable[bool]], *, timeout_s: float
    ) -> None:
        """Poll until ready. Raises InfrastructureUnavailable with the cause if the process ends or the
        time is up.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            record = self.running(name)
            if record is None:
                raise self._unready(name, "ended while it was starting")
            if await ready():
                return
            if time.monotonic() > deadline:
                raise self._unready(name, f"was not ready after {timeout_s:.0f} s")
            await asyncio.sleep(POLL_S)

    def _unready(self, name: str, what: str) -> InfrastructureUnavailable:
        record = self._read(name)
        if record is None:
            return InfrastructureUnavailable(
                f"{name} {what}", f"start it again; the process records are in {self.dir}"
            )
        cause, helps = why(Path(record.log))
        return InfrastructureUnavailable(f"{name} {what}: {cause}", helps)

    def _path(self, name: str) -> Path:
        return self.dir / f"{name}.json"

    def _read(self, name: str) -> ProcessRecord | None:
        try:
            return ProcessRecord(**json.loads(self._path(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def _process(record: ProcessRecord) -> psutil.Process | None:
    """The recorded process if it is alive; None if another process has its pid."""
    child = _ours.get(record.pid)
    if child is not None and child.poll() is not None:
        del _ours[record.pid]
    try:
        process = psutil.Process(record.pid)
        if record.started:
            if _start_ticks(record.pid) != record.started:
                return None
        elif abs(process.create_time() - record.created) > START_TIME_SLACK_S:
            return None
        return None if _has_ended(process) else process
    except psutil.NoSuchProcess:
        return None


def _start_ticks(pid: int) -> str:
    """Boot id, and clock ticks from boot to the process start (field 22 of /proc/PID/stat, see proc(5))."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The second field is the program's name in parentheses, and may contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return f"{boot}:{fields[19]}"


def _family(leader: psutil.Process) -> list[psutil.Process]:
    """The leader, its descendants, and orphans that are still in its session."""
    members = {leader.pid: leader}
    with contextlib.suppress(psutil.NoSuchProcess):
        members |= {child.pid: child for child in leader.children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader.pid:
                members.setdefault(process.pid, process)
    return list(members.values())


def _signal(processes: Sequence[psutil.Process], how: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(how)  # psutil raises if the pid was reused
        except psutil.NoSuchProcess:
            continue


async def _gone(processes: Sequence[psutil.Process], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(_lives(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def _lives(process: psutil.Process) -> bool:
    child = _ours.get(process.pid)
    if child is not None and child.poll() is not None:
        del _ours[process.pid]
    try:
        return process.is_running() and not _has_ended(process)
    except psutil.NoSuchProcess:
        return False


def _has_ended(process: psutil.Process) -> bool:
    """Whether nothing is left but an entry for its parent.

    A killed process is shown as a zombie as soon as its first thread has ended. While others have not, which
    can take long at a low priority on a busy machine, it still listens on its ports.
    """
    if process.status() != psutil.STATUS_ZOMBIE:
        return False
    try:
        return len(list(Path(f"/proc/{process.pid}/task").iterdir())) <= 1
    except OSError:
        return True


def _raise_open_files_limit() -> None:
    """Databases and brokers need many open files; children inherit this process's limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_OPEN_MAX if hard == resource.RLIM_INFINITY else min(FILES_OPEN_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

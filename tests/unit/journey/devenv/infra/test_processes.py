"""Child processes: found from another shell, stopped with all their children, never confused with others."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra.processes import Processes
from tests.support.eventually import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
WITH_CHILD = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)\n"
    "time.sleep(60)",
]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', "
    "flush=True)\ntime.sleep(60)",
]


def expected(log: Path) -> str:
    return log.read_text() if log.exists() else ""


async def wait_for_output(processes: Processes, name: str, log: Path) -> str:
    async def has_logged_something() -> bool:
        return expected(log) != ""

    await processes.wait_until_ready(name, has_logged_something, timeout_s=60)
    return expected(log).strip()


async def test_a_second_start_keeps_the_first(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    first = processes.start("sleeper", SLEEP, log=tmp_path / "log")
    assert Processes(tmp_path).start("sleeper", SLEEP, log=tmp_path / "log") == first
    assert await Processes(tmp_path).stop("sleeper")
    assert not psutil.pid_exists(first.pid)
    assert processes.recorded() == []


async def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    assert not await Processes(tmp_path).stop("nobody")


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_children_end_with_their_parent(tmp_path: Path, how: str) -> None:
    processes = Processes(tmp_path)
    processes.start("parent", WITH_CHILD, log=tmp_path / "log")
    child = int(await wait_for_output(processes, "parent", tmp_path / "log"))
    assert await getattr(processes, how)("parent")
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


async def test_a_process_ignoring_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    record = processes.start("stubborn", STUBBORN, log=tmp_path / "log")
    await wait_for_output(processes, "stubborn", tmp_path / "log")
    assert await processes.stop("stubborn", grace_s=0.3)
    assert not psutil.pid_exists(record.pid)


@pytest.mark.parametrize("differs", [{"started": "another boot:1"}, {"started": "", "created": 3600.0}])
async def test_another_process_with_a_reused_pid_is_not_stopped(
    tmp_path: Path, differs: dict[str, object]
) -> None:
    mine, other = Processes(tmp_path / "mine"), Processes(tmp_path / "other")
    stranger = other.start("stranger", SLEEP, log=tmp_path / "log")
    record = asdict(stranger) | {"name": "old"} | differs
    mine.dir.mkdir(parents=True)
    (mine.dir / "old.json").write_text(json.dumps(record))
    assert mine.running("old") is None
    assert not await mine.stop("old")
    assert not await mine.kill("old")
    assert mine.recorded() == []
    assert other.running("stranger") == stranger
    await other.stop("stranger")


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux shows a process as a zombie while threads of it run"
)
async def test_a_process_is_alive_until_all_threads_end(tmp_path: Path) -> None:
    """Or its successor would be started while it still listens on the port of both."""
    processes = Processes(tmp_path)
    program = """
import ctypes, socket, threading, time
listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print("ready", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""
    begun = processes.start("threads", [sys.executable, "-c", program], log=tmp_path / "log")
    await wait_for_output(processes, "threads", tmp_path / "log")
    await until(lambda: psutil.Process(begun.pid).status() == psutil.STATUS_ZOMBIE)
    assert processes.running("threads") == begun
    assert await processes.kill("threads")
    assert not psutil.pid_exists(begun.pid)


async def test_a_corrected_clock_hides_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil derives start times from the wall clock,
    so adjusting the clock changes those of running processes.
    """
    processes = Processes(tmp_path)
    begun = processes.start("sleeper", ["sleep", "60"], log=tmp_path / "log")
    right = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: right(process) + 3600)
    assert processes.running("sleeper") == begun
    assert await processes.kill("sleeper")
    assert not psutil.pid_exists(begun.pid)


async def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.dir.mkdir(parents=True)
    (processes.dir / "torn.json").write_text('{"name": "to')
    assert processes.running("torn") is None
    assert not await processes.stop("torn")


async def test_a_process_ending_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    processes = Processes(tmp_path)
    processes.start("hasty", [sys.executable, "-c", "raise SystemExit('no such port')"], log=tmp_path / "log")
    with pytest.raises(InfrastructureUnavailable, match=r"hasty ended .*no such port\n.*its log"):
        await processes.wait_until_ready("hasty", never, timeout_s=60)


async def test_waiting_for_readiness_times_out(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    processes = Processes(tmp_path)
    processes.start("slow", SLEEP, log=tmp_path / "log")
    with pytest.raises(InfrastructureUnavailable, match="not ready after"):
        await processes.wait_until_ready("slow", never, timeout_s=0.2)
    await processes.stop("slow")

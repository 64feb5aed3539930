"""Commands that do not need what is down, and a mailbox that is down: see test_operator_errors.py."""

import asyncio
import errno
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from journey.admin.endpoints import recorded
from journey.admin.errors import failure_of
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import local_mongo, local_rabbit, mongod, resolve
from journey.devenv.infra.processes import Processes
from tests.support.cli_runner import run_journey
from tests.system.test_operator_errors import LIBRARY, all_at, silent

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

UNAFFECTED = ("topology export", "scale", "down")  # they need nothing that may be down


@pytest.mark.parametrize("command", UNAFFECTED)
async def test_offline_commands_work_while_everything_is_unresponsive(tmp_path: Path, command: str) -> None:
    with silent() as port:
        environment = all_at(port).write(tmp_path)
        done = await asyncio.to_thread(run_journey, tmp_path, *command.split(), **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not LIBRARY.search(done.stdout + done.stderr)


@pytest.mark.parametrize("silent_", [False, True])
async def test_down_ends_suspended_processes_and_needs_no_broker(tmp_path: Path, silent_: bool) -> None:
    with silent() as port:
        environment = all_at(port if silent_ else 1).write(tmp_path)
        processes = Processes(tmp_path)
        sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
        processes.start("order_svc", sleeping, log=tmp_path / "log", env=dict(os.environ), cwd=tmp_path)
        started = processes.running("order_svc")
        assert started is not None
        if silent_:
            os.kill(started.pid, signal.SIGSTOP)
        done = await asyncio.to_thread(run_journey, tmp_path, "down", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stopped order_svc" in done.stdout
    assert processes.running("order_svc") is None


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
def test_an_unavailable_or_slow_mailbox_is_named(tmp_path: Path, error: httpx.RequestError) -> None:
    all_at(1).write(tmp_path)
    known = recorded(tmp_path)
    assert known is not None
    error.request = httpx.Request("GET", "http://127.0.0.1:7/api/v1/messages")
    failure = failure_of(error, replace(known, mailbox_url="http://127.0.0.1:7/"))
    assert failure is not None and failure.cause.startswith("the mailbox ")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_full_disk_is_reported_with_the_file(number: int) -> None:
    error = OSError(number, os.strerror(number), "/shop/settings.json")
    for raised in (error, ExceptionGroup("two starts", [ValueError(), error])):
        failure = failure_of(raised, None)
        assert failure is not None and "/shop/settings.json" in failure.cause
        assert not LIBRARY.search(str(failure))


async def test_a_server_that_cannot_start_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(_log: object) -> Path:
        return tmp_path

    async def start(_server: object, _log: object) -> None:
        raise InfrastructureUnavailable("mongo1 ended: the disk is full", "free space")

    monkeypatch.setattr(local_rabbit, "find_or_install", found)
    monkeypatch.setattr(mongod, "find_or_download", found)
    monkeypatch.setattr(local_rabbit.LocalRabbit, "start", start)
    monkeypatch.setattr(local_mongo.LocalMongo, "start", start)
    monkeypatch.setenv("JOURNEY_INFRA", "local")
    with pytest.raises(InfrastructureUnavailable, match="the disk is full"):
        await resolve.obtain(tmp_path / "state", log=lambda text: None)

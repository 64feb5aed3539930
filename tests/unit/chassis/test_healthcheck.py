"""The health check of containers, against servers that respond, refuse, do not respond, or are not there."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chassis import healthcheck
from tests.support.source_files import ROOT


@asynccontextmanager
async def server(response: bytes | None) -> AsyncIterator[int]:
    """The port of a server that sends these bytes to each request; None: nothing at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\r\n\r\n") == b"GET /readyz HTTP/1.0\r\n\r\n"
        if response is None:
            await reader.read()
        else:
            writer.write(response)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n200", False),
        (b"", False),
    ],
)
async def test_a_container_is_healthy_only_if_ready(response: bytes, expected: bool) -> None:
    async with server(response) as port:
        assert await asyncio.to_thread(healthcheck.is_ready, port) is expected


async def test_a_silent_service_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT_S", 0.2)
    async with server(None) as port:
        assert await asyncio.to_thread(healthcheck.is_ready, port) is False


async def test_the_exit_code_is_the_result_without_installed_libraries() -> None:
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert await asyncio.to_thread(exit_code, port) == 0
    began = time.monotonic()
    assert await asyncio.to_thread(exit_code, port) == 1
    assert time.monotonic() - began < 10


def exit_code(port: int) -> int:
    environment = {"HTTP_PORT": str(port), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-S", "-m", "chassis.healthcheck"]
    return subprocess.run(command, cwd="/", env=environment).returncode

"""The health check of MongoDB's containers: mongosh runs once, and every state but two is unhealthy."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bson
import pytest

from journey.devenv.infra.model import Infrastructure
from tests.support.source_files import ROOT

SCRIPT = ROOT / "deploy" / "compose" / "mongo-health.sh"
PRIMARY = {"isWritablePrimary": True, "secondary": False, "ok": 1.0}
SECONDARY = {"isWritablePrimary": False, "secondary": True, "ok": 1.0}
NEITHER = {"isWritablePrimary": False, "secondary": False, "ok": 1.0}


class Container:
    """The folder of a container: mongosh is a program that counts its starts and ends with `exit_code`."""

    def __init__(self, folder: Path) -> None:
        self.exit_code = 0
        self._folder = folder
        self._starts = folder / "starts"
        self._mongosh = folder / "mongosh"

    async def probe(self, port: int) -> bool:
        self._mongosh.write_text(f"#!/bin/bash\necho start >>{self._starts}\nexit {self.exit_code}\n")
        self._mongosh.chmod(0o755)
        process = await asyncio.create_subprocess_exec(
            *("bash", SCRIPT),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                "PATH": f"{self._folder}:{os.environ['PATH']}",
                "MONGO_PORT": str(port),
                "SET_UP_FILE": str(self._folder / "set-up"),
            },
        )
        return await process.wait() == 0

    @property
    def mongosh_starts(self) -> int:
        return len(self._starts.read_text().splitlines()) if self._starts.exists() else 0


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


@asynccontextmanager
async def member(reply: Mapping[str, Any] | None) -> AsyncIterator[int]:
    """The port of a server that answers each command `hello` with this. None: it accepts and is silent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size, number, _, code, flags, kind = struct.unpack("<iiiiIB", await reader.readexactly(21))
        command = bson.decode(await reader.readexactly(size - 21))
        assert (code, flags, kind, command) == (2013, 0, 0, {"hello": 1, "$db": "admin"})
        if reply is None:
            await asyncio.Event().wait()
        body = bson.encode(dict(reply or {}))
        writer.write(struct.pack("<iiiiIB", 21 + len(body), 7, number, 2013, 0, 0) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("state", [PRIMARY, SECONDARY], ids=["primary", "secondary"])
async def test_a_member_is_set_up_once_and_then_asked(container: Container, state: dict[str, Any]) -> None:
    async with member(state) as port:
        assert [await container.probe(port) for _ in range(3)] == [True] * 3
    assert container.mongosh_starts == 1


@pytest.mark.parametrize("state", [NEITHER, {"ok": 0.0, "errmsg": "secondary"}, None], ids=str)
async def test_a_member_that_serves_no_one_is_unhealthy(
    container: Container, state: dict[str, Any] | None
) -> None:
    async with member(PRIMARY) as port:
        assert await container.probe(port)
    async with member(state) as port:
        assert not await container.probe(port)


async def test_a_member_that_is_gone_is_unhealthy(container: Container) -> None:
    async with member(PRIMARY) as port:
        assert await container.probe(port)
    assert not await container.probe(port)


async def test_a_failed_set_up_is_unhealthy_and_repeated(container: Container) -> None:
    container.exit_code = 1
    async with member(PRIMARY) as port:
        assert [await container.probe(port) for _ in range(2)] == [False, False]
        assert container.mongosh_starts == 2
        container.exit_code = 0
        assert await container.probe(port)


@pytest.mark.real
async def test_a_real_member_is_healthy(container: Container, real_infrastructure: Infrastructure) -> None:
    port = urlsplit(real_infrastructure.mongo_url).port
    assert port is not None
    assert await container.probe(port)

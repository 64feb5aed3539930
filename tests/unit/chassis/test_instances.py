"""HTTP to several instances of a service: one that is unreachable, stopped or unavailable is skipped."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from chassis.instances import SUSPECT_S, InstancesTransport, transport
from chassis.web.http_client import UpstreamClient

FIRST = "http://127.0.0.1:1"
SECOND = "http://127.0.0.1:2"
THIRD = "http://127.0.0.1:3"
FakeResponse = Callable[[httpx.Request], httpx.Response]


class Shop:
    """Three instances of one service.

    `answers` has the responses of faulty ones by port; `asked` lists the ports called.
    """

    def __init__(self, directory: Path, responses: dict[int, FakeResponse]) -> None:
        self.file = directory / "instances.json"
        self.responses = responses
        self.now = 0.0
        self.asked: list[int] = []
        self.file.write_text(
            json.dumps({"user_svc": [FIRST, SECOND, THIRD], "order_svc": ["http://127.0.0.1:9"]})
        )
        inner = httpx.MockTransport(self._response)
        self.http = httpx.AsyncClient(
            transport=InstancesTransport(self.file, inner, lambda: self.now), base_url=FIRST
        )

    def _response(self, request: httpx.Request) -> httpx.Response:
        assert request.url.port is not None
        self.asked.append(request.url.port)
        response = self.responses.get(request.url.port)
        return response(request) if response else httpx.Response(200, content=request.read())

    async def asks(self, method: str = "GET") -> list[int]:
        self.asked.clear()
        await self.http.request(method, "/any", content=b"body")
        return list(self.asked)


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def silent(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


def not_ready(request: httpx.Request) -> httpx.Response:
    return httpx.Response(503)


@pytest.mark.parametrize("fault", [away, silent, not_ready])
async def test_another_instance_replaces_an_unresponsive_one(tmp_path: Path, fault: FakeResponse) -> None:
    shop = Shop(tmp_path, {1: fault})
    assert (await shop.http.get("/any")).status_code == 200
    assert shop.asked == [1, 2]
    assert await shop.asks("POST") == [2]  # the first one is tried last for a while
    shop.responses.clear()
    shop.now += SUSPECT_S
    assert await shop.asks() == [1]


async def test_a_change_with_unknown_outcome_is_not_repeated(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {1: silent})
    with pytest.raises(httpx.ReadTimeout):
        await shop.asks("POST")
    assert shop.asked == [1]
    assert await shop.asks("POST") == [2]


async def test_an_unconnected_change_goes_to_another_instance(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {1: away, 2: away})
    assert (await shop.http.post("/any", content=b"body")).content == b"body"
    assert shop.asked == [1, 2, 3]


@pytest.mark.parametrize(("fault", "raised"), [(away, httpx.ConnectError), (silent, httpx.ReadTimeout)])
async def test_without_a_responding_instance_the_last_error_is_raised(
    tmp_path: Path, fault: FakeResponse, raised: type[Exception]
) -> None:
    shop = Shop(tmp_path, {1: fault, 2: fault, 3: fault})
    with pytest.raises(raised):
        await shop.asks()
    assert shop.asked == [1, 2, 3]


async def test_later_instances_are_found_and_a_missing_file_is_ignored(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {1: away})
    shop.file.unlink()
    with pytest.raises(httpx.ConnectError):
        await shop.asks()
    assert shop.asked == [1]
    shop.file.write_text(json.dumps({"user_svc": [FIRST, THIRD]}))
    assert await shop.asks() == [3]


async def test_a_stopped_instance_leaves_time_to_try_another(tmp_path: Path) -> None:
    """A stopped process (SIGSTOP) still accepts connections, but never responds."""
    async with _listening(_never) as stopped, _listening(_ok) as working:
        (tmp_path / "instances.json").write_text(json.dumps({"user_svc": [stopped, working]}))
        users = UpstreamClient("user_svc", stopped, transport=transport(tmp_path / "instances.json"))
        assert (await users.get("/any")).status_code == 200
        await users.close()


@asynccontextmanager
async def _listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)  # type: ignore[arg-type]
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()

"""The processes of a service: from the file of instances, from its DNS name, or the one at its address."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis import tls
from operations.monitoring.service_processes import ServiceProcess, ServiceProcesses, look_up
from tests.support.certificates import certificate_files, server_context

HOSTS = {
    "order_svc": ["10.0.0.2", "10.0.0.3"],
    "payment_svc": ["10.0.0.4"],
    "user_svc": ["fd00::1", "fd00::2"],
}


async def fake_dns(host: str, port: int) -> list[str]:
    if host not in HOSTS:
        raise socket.gaierror("unknown host")
    return HOSTS[host]


async def processes(url: str, file: Path | None = None) -> list[ServiceProcess]:
    return (await ServiceProcesses({"any": url}, file, fake_dns)())["any"]


@pytest.mark.parametrize(
    ("url", "expected", "service"),
    [
        ("http://order_svc:8080", ["http://10.0.0.2:8080", "http://10.0.0.3:8080"], "order_svc:8080"),
        ("http://order_svc/api", ["http://10.0.0.2:80/api", "http://10.0.0.3:80/api"], "order_svc"),
        ("http://user_svc:8080", ["http://[fd00::1]:8080", "http://[fd00::2]:8080"], "user_svc:8080"),
        ("http://payment_svc:8080", ["http://payment_svc:8080"], ""),
        ("http://unknown:8080", ["http://unknown:8080"], ""),
        ("https://order_svc:8443", ["https://10.0.0.2:8443", "https://10.0.0.3:8443"], "order_svc:8443"),
        ("https://order_svc", ["https://10.0.0.2:443", "https://10.0.0.3:443"], "order_svc"),
    ],
    ids=["several", "path", "IPv6", "one", "unknown", "TLS", "TLS at the usual port"],
)
async def test_a_name_leads_to_all_its_processes(url: str, expected: list[str], service: str) -> None:
    assert await processes(url) == [ServiceProcess(each, service) for each in expected]


async def test_a_process_is_asked_under_the_name_of_its_service() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=f"{request.url} as {request.headers['Host']}")

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        [first, _] = await processes("http://order_svc:8080/api")
        response = await first.request(http, "GET", "/readyz")
        assert response.text == "http://10.0.0.2:8080/api/readyz as order_svc:8080"
        [only] = await processes("http://payment_svc:8080")
        assert (await only.request(http, "GET", "/x")).text == "http://payment_svc:8080/x as payment_svc:8080"


@pytest.mark.parametrize(
    ("named", "reached"),
    [(("order-svc",), True), (("127.0.0.1", "localhost"), False)],
    ids=["the service", "its address only"],
)
async def test_a_certificate_is_verified_against_the_name_of_the_service(
    tmp_path: Path, named: tuple[str, ...], reached: bool
) -> None:
    files = certificate_files(tmp_path, hosts=named)
    async with (
        tls_server(server_context(files)) as port,
        httpx.AsyncClient(verify=tls.client_context(files.ca), trust_env=False) as http,
    ):
        process = ServiceProcess(f"https://127.0.0.1:{port}", f"order-svc:{port}")
        if reached:
            assert (await process.request(http, "GET", "/readyz")).status_code == 204
        else:
            with pytest.raises(httpx.ConnectError, match="certificate is not valid for 'order-svc'"):
                await process.request(http, "GET", "/readyz")


@asynccontextmanager
async def tls_server(context: Any) -> AsyncIterator[int]:
    """Responds to one request per connection with 204. Yields its port."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_the_file_of_instances_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "instances.json"
    listed = ["http://order_svc:1", "http://order_svc:2"]
    file.write_text(json.dumps({"order_svc": listed}))
    assert await processes("http://order_svc:1", file) == [ServiceProcess(each) for each in listed]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["10.0.0.2", "10.0.0.3", "10.0.0.2"], ["10.0.0.2", "10.0.0.3"]),
        (["::1", "127.0.0.1"], ["::1"]),
        (["fd00::1", "10.0.0.2", "10.0.0.3"], ["10.0.0.2", "10.0.0.3"]),
        ([], []),
    ],
    ids=["each once", "one process with both versions", "the version with more", "none"],
)
async def test_addresses_of_one_protocol_version_are_used(
    monkeypatch: pytest.MonkeyPatch, found: list[str], expected: list[str]
) -> None:
    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        families = [socket.AF_INET6 if ":" in ip else socket.AF_INET for ip in found]
        return [
            (family, socket.SOCK_STREAM, 6, "", (ip, port))
            for family, ip in zip(families, found, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert await look_up("order_svc", 8080) == expected

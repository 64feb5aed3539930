"""The processes of a service: from the file of instances, from its DNS name, or the one at its address."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from operations.monitoring.service_processes import ServiceProcesses, look_up

HOSTS = {
    "order_svc": ["10.0.0.2", "10.0.0.3"],
    "payment_svc": ["10.0.0.4"],
    "user_svc": ["fd00::1", "fd00::2"],
}


async def fake_dns(host: str, port: int) -> list[str]:
    if host not in HOSTS:
        raise socket.gaierror("unknown host")
    return HOSTS[host]


async def processes(url: str, file: Path | None = None) -> list[str]:
    return (await ServiceProcesses({"any": url}, file, fake_dns)())["any"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://order_svc:8080", ["http://10.0.0.2:8080", "http://10.0.0.3:8080"]),
        ("http://order_svc/api", ["http://10.0.0.2:80/api", "http://10.0.0.3:80/api"]),
        ("http://user_svc:8080", ["http://[fd00::1]:8080", "http://[fd00::2]:8080"]),
        ("http://payment_svc:8080", ["http://payment_svc:8080"]),
        ("http://unknown:8080", ["http://unknown:8080"]),
        ("https://order_svc:8080", ["https://order_svc:8080"]),
    ],
    ids=["several", "path", "IPv6", "one", "unknown", "TLS"],
)
async def test_a_name_leads_to_all_its_processes(url: str, expected: list[str]) -> None:
    assert await processes(url) == expected


async def test_the_file_of_instances_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "instances.json"
    listed = ["http://order_svc:1", "http://order_svc:2"]
    file.write_text(json.dumps({"order_svc": listed}))
    assert await processes("http://order_svc:1", file) == listed


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

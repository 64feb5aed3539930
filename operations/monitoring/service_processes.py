"""The processes of each service: those in the file of instances, or all addresses of a DNS name.

In containers the name of a service has one address for each of its processes. In Kubernetes only the name of
a headless Service does; another one has a single address, which leads to any process.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from chassis import instances

_RESPONSE_S_MAX = 2.0


@dataclass(frozen=True)
class ServiceProcess:
    """One process of a service.

    `url`: its address. `service_host`: the host of the service's URL, with the port if it has one; empty if
    `url` is that URL.
    """

    url: str
    service_host: str = ""

    @property
    def address(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.url).netloc

    async def request(
        self, http: httpx.AsyncClient, method: str, path: str, *, json: object = None
    ) -> httpx.Response:
        """Sends a request to this process and to no other. Raises httpx.HTTPError.

        A certificate names the service's host, and not its addresses. So it is verified against that name.
        """
        name = urlsplit(f"//{self.service_host}").hostname
        extensions: dict[str, Any] = {"sni_hostname": name} if name else {}
        return await http.request(
            method,
            f"{self.url}{path}",
            json=json,
            headers={"Host": self.service_host} if name else {},
            extensions=extensions,
            timeout=_RESPONSE_S_MAX,
        )


Processes = Callable[[], Awaitable[Mapping[str, Sequence[ServiceProcess]]]]
"""Service -> its processes."""
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> its IP addresses. Raises OSError if the host is unknown."""
_LOOKUP_S_MAX = 2.0


async def look_up(host: str, port: int) -> list[str]:
    """All IP addresses of a host, of the protocol version of which it has more."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    by_version: dict[int, set[str]] = {}
    for version, _, _, _, address in found:
        by_version.setdefault(version, set()).add(str(address[0]))
    # A process that has addresses of both versions is still one process.
    most = max(by_version.values(), key=len, default=set[str]())
    return sorted(most)


class ServiceProcesses:
    """Looks the processes up at each call, because they come and go."""

    def __init__(self, addresses: Mapping[str, str], file: Path | None, lookup: Lookup = look_up) -> None:
        """`addresses`: service -> its URL. `file`: the instances on one machine (see chassis.instances)."""
        self._addresses = addresses
        self._file = file
        self._lookup = lookup

    async def __call__(self) -> dict[str, list[ServiceProcess]]:
        found = await asyncio.gather(*map(self._of, self._addresses.values()))
        return dict(zip(self._addresses, found, strict=True))

    async def _of(self, address: str) -> list[ServiceProcess]:
        listed = [ServiceProcess(each) for each in instances.processes(self._file, address)]
        parts = urlsplit(address)
        if len(listed) > 1 or parts.hostname is None:
            return listed
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_LOOKUP_S_MAX):
                hosts = await self._lookup(parts.hostname, port)
        except OSError:  # includes TimeoutError
            return listed
        if len(hosts) < 2:
            return listed
        found = [f"[{host}]" if ":" in host else host for host in hosts]
        return [ServiceProcess(f"{parts.scheme}://{host}:{port}{parts.path}", parts.netloc) for host in found]

"""HTTP to a service with several processes on this machine: if one does not respond, another one is tried.

Containers find each other by DNS names that resolve to all instances. Processes on one machine have an
address each, and a file lists them by service. Each request reads the file again, because instances come and
go.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx

# An instance that did not respond is tried last for this long.
SUSPECT_S = 30.0
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout)
_AWAY = (502, 503, 504)
_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


def transport(
    file: Path | None, verify: ssl.SSLContext | Literal[True] = True
) -> "InstancesTransport | None":
    """A transport for clients of services; None, which selects httpx's own, if no file lists instances.

    `verify`: the TLS context; by default the system's authorities are trusted.
    """
    if file is None:
        return None
    inner = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=_CONNECTIONS)
    return InstancesTransport(file, inner)


def processes(file: Path | None, address: str) -> list[str]:
    """The addresses of all instances of the service at this address; only this one if no file lists more."""
    return next((group for group in _groups(file) if address in group), [address])


class InstancesTransport(httpx.AsyncBaseTransport):
    """Sends a request to the instance at its address, or to another instance of the same service.

    It tries another instance if no connection can be made. It also repeats a GET if the response takes half
    of the timeout or reports that the instance is unavailable. Other requests may have been executed by then.
    """

    def __init__(
        self, file: Path, inner: httpx.AsyncBaseTransport, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._inner = inner
        self._clock = clock
        self._suspect_until: dict[str, float] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        *first, last = self._candidates(_origin(request.url))
        again = request.method == "GET"
        for origin in first:
            try:
                with self._suspect_on_failure(origin):
                    response = await self._inner.handle_async_request(_to(origin, request, impatient=again))
            except httpx.TransportError as error:
                if not again and not isinstance(error, _UNREACHED):
                    raise
                continue
            if not again or response.status_code not in _AWAY:
                return response
            self._suspect(origin)
            await response.aclose()
        with self._suspect_on_failure(last):
            return await self._inner.handle_async_request(_to(last, request))

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _candidates(self, asked: str) -> list[str]:
        """All instances of the service at this address: this one first, those that failed recently last."""
        now = self._clock()
        group = processes(self._file, asked)
        return sorted(group, key=lambda origin: (self._suspect_until.get(origin, 0.0) > now, origin != asked))

    @contextmanager
    def _suspect_on_failure(self, origin: str) -> Iterator[None]:
        """A cancelled request also marks the instance as suspect: it was too slow for its caller."""
        try:
            yield
        except BaseException:
            self._suspect(origin)
            raise
        self._suspect_until.pop(origin, None)

    def _suspect(self, origin: str) -> None:
        self._suspect_until[origin] = self._clock() + SUSPECT_S


def _groups(file: Path | None) -> list[list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(file.read_text()) if file is not None else {}
    except (OSError, ValueError):  # the shop is stopping or stopped
        return []
    return list(found.values())


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _to(origin: str, request: httpx.Request, *, impatient: bool = False) -> httpx.Request:
    """The same request to another address; `impatient`: with half of its timeout."""
    address = httpx.URL(origin)
    extensions = dict(request.extensions)
    if impatient and "timeout" in extensions:
        extensions["timeout"] = {what: limit and limit / 2 for what, limit in extensions["timeout"].items()}
    url = request.url.copy_with(scheme=address.scheme, host=address.host, port=address.port)
    return httpx.Request(
        request.method, url, headers=request.headers, stream=request.stream, extensions=extensions
    )

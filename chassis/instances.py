"""HTTP to a service of which several processes run on this machine: if one does not answer, another one is asked.

Containers find each other by names that lead to all instances. Processes on one machine have an address each, and a
file lists them by service. Each request reads what the file says then, because instances come and go.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

# An instance that did not answer is asked last for so long.
SUSPECT_S = 30.0
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout)
_AWAY = (502, 503, 504)
_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


def transport(file: Path | None) -> "InstancesTransport | None":
    """For a client of services; None, which is httpx's own, if no file lists instances."""
    if file is None:
        return None
    return InstancesTransport(file, httpx.AsyncHTTPTransport(trust_env=False, limits=_CONNECTIONS))


class InstancesTransport(httpx.AsyncBaseTransport):
    """Sends a request to the instance at its address, or to another instance of the same service.

    Another one is asked if no connection is made. A GET is also asked again if its answer takes half of the permitted
    time, or says that the instance is not at work. Any other request may have been carried out by then.
    """

    def __init__(
        self, file: Path, inner: httpx.AsyncBaseTransport, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file, self._inner, self._clock = file, inner, clock
        self._suspect_until: dict[str, float] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        *first, last = self._candidates(_origin(request.url))
        again = request.method == "GET"
        for origin in first:
            try:
                with self._watched(origin):
                    answer = await self._inner.handle_async_request(_to(origin, request, impatient=again))
            except httpx.TransportError as error:
                if not again and not isinstance(error, _UNREACHED):
                    raise
                continue
            if not again or answer.status_code not in _AWAY:
                return answer
            self._suspect(origin)
            await answer.aclose()
        with self._watched(last):
            return await self._inner.handle_async_request(_to(last, request))

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _candidates(self, asked: str) -> list[str]:
        """All instances of the service at this address: first itself, last those that have just failed."""
        group = next((group for group in self._groups() if asked in group), [asked])
        now = self._clock()
        return sorted(group, key=lambda origin: (self._suspect_until.get(origin, 0.0) > now, origin != asked))

    def _groups(self) -> list[list[str]]:
        try:
            found: dict[str, list[str]] = json.loads(self._file.read_text())
        except (OSError, ValueError):  # the shop is being stopped, or has just been
            return []
        return list(found.values())

    @contextmanager
    def _watched(self, origin: str) -> Iterator[None]:
        """Also a request whose sender does not wait any longer tells that the instance is slow."""
        try:
            yield
        except BaseException:
            self._suspect(origin)
            raise
        self._suspect_until.pop(origin, None)

    def _suspect(self, origin: str) -> None:
        self._suspect_until[origin] = self._clock() + SUSPECT_S


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _to(origin: str, request: httpx.Request, *, impatient: bool = False) -> httpx.Request:
    """The same request at another address; `impatient`: with half of its time."""
    address = httpx.URL(origin)
    extensions = dict(request.extensions)
    if impatient and "timeout" in extensions:
        extensions["timeout"] = {what: limit and limit / 2 for what, limit in extensions["timeout"].items()}
    url = request.url.copy_with(scheme=address.scheme, host=address.host, port=address.port)
    return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)

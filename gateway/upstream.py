"""A service behind the door: bounded in time, asked again only where that is safe, left alone while it is away.

Whoever asks gets the service's answer, or Away. A 503 counts as Away too: the service says so itself.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from gateway import arrival

LIMIT_S = 2.0
SILENCES_MAX = 5
_PAUSE_S_MIN, _PAUSE_S_MAX = 1.0, 30.0
_TRIES_MAX = 3
_AWAY = (502, 503, 504)
_AGAIN_S = 5  # when to ask again, where nothing better is known
_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class Away(Exception):
    """The service gave no answer, or none that makes sense, or so often none that it was not even asked."""

    def __init__(self, name: str, retry_after_s: int = _AGAIN_S) -> None:
        super().__init__(f"{name} does not answer")
        self.name, self.retry_after_s = name, retry_after_s


class Circuit:
    """Opens after so many silences in a row; then lets one probe pass at a time, each after a longer pause.

    chassis.breaker is another: it pauses a queue, whose messages can wait. Here somebody stands at the door: they are
    told at once for how long, and a probe whose asker hangs up keeps nobody away for ever. `probe_s`: how long one may
    take.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, probe_s: float = LIMIT_S) -> None:
        self._clock, self._probe_s = clock, probe_s
        self._silences = self._openings = 0
        self._open_until = 0.0
        self._probing = False

    @property
    def open_s(self) -> float:
        """How much longer nobody is to ask."""
        return max(0.0, self._open_until - self._clock())

    def ask(self) -> bool:
        """Whether to ask now. A probe holds the others off for as long as it may take."""
        if self.open_s > 0:
            return False
        if self._openings:
            self._probing, self._open_until = True, self._clock() + self._probe_s
        return True

    def answered(self) -> None:
        self._silences = self._openings = 0
        self._open_until, self._probing = 0.0, False

    def silent(self) -> None:
        self._silences += 1
        if self._probing or (self._silences >= SILENCES_MAX and not self.open_s):
            pause_s = min(_PAUSE_S_MIN * 2 ** min(self._openings, 10), _PAUSE_S_MAX)
            self._openings, self._probing = self._openings + 1, False
            self._open_until = self._clock() + pause_s * random.uniform(0.8, 1.0)


class Upstream:
    """HTTP to one service. Nothing that a client has sent is passed on but what the caller gives."""

    def __init__(
        self, name: str, base_url: str, *, transport: httpx.AsyncBaseTransport | None = None, limit_s: float = LIMIT_S
    ) -> None:
        self.name, self._limit_s = name, limit_s
        self._circuit = Circuit(probe_s=limit_s)
        self._http = httpx.AsyncClient(
            base_url=base_url, timeout=limit_s, limits=_CONNECTIONS, transport=transport, trust_env=False
        )

    async def get(self, path: str, **given: Any) -> httpx.Response:
        return await self.ask("GET", path, **given)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        """The answer, whatever its status; raises Away. `token`: goes as Authorization: Bearer."""
        request = self._http.build_request(
            method, path, json=json, params=params, headers=self._headers(headers, token)
        )
        if not self._circuit.ask():
            raise self._away()
        try:
            async with asyncio.timeout(self._limit_s):
                answer = await self._sent(request)
        except (httpx.TransportError, TimeoutError):
            self._circuit.silent()
            raise self._away() from None
        if answer.status_code in _AWAY:
            self._circuit.silent()
            raise self._away()
        self._circuit.answered()
        return answer

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, content: AsyncIterator[bytes] | None, headers: Mapping[str, str], token: str
    ) -> AsyncIterator[httpx.Response]:
        """The answer as it comes, for as long as it comes; raises Away if nobody is there.

        How long it may take to begin is for whoever asks to say.
        """
        unending = httpx.Timeout(self._limit_s, read=None)
        request = self._http.build_request(
            method, path, content=content, headers=self._headers(headers, token), timeout=unending
        )
        if not self._circuit.ask():
            raise self._away()
        try:
            answer = await self._http.send(request, stream=True)
        except httpx.TransportError:
            self._circuit.silent()
            raise self._away() from None
        self._circuit.answered()
        try:
            yield answer
        finally:
            await answer.aclose()

    async def close(self) -> None:
        await self._http.aclose()

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            return await self._http.send(request)
        tries = AsyncRetrying(
            stop=stop_after_attempt(_TRIES_MAX),
            wait=wait_random(0.02, 0.1),
            retry=retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        return await tries(self._http.send, request)

    def _headers(self, given: Mapping[str, str] | None, token: str | None) -> dict[str, str]:
        here = arrival.current()
        headers = {"X-Request-Id": here.request_id, "traceparent": here.traceparent, **(given or {})}
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def _away(self) -> Away:
        return Away(self.name, max(1, round(self._circuit.open_s + 0.5)))

"""The HTTP client of another service, with a timeout, retries of GET requests only, and a circuit breaker.

A call returns the service's response or raises UpstreamUnavailable. A 502, 503 or 504 raises it, too.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from chassis.backoff import Backoff
from chassis.circuit_breaker import CircuitBreaker
from chassis.telemetry import tracing
from chassis.telemetry.circuits import report_circuit
from chassis.web import request_context
from chassis.web.client_metrics import RequestTimer, error_type_of
from chassis.web.client_spans import client_span, describe_response

TIMEOUT_S = 2.0
_TRIES_MAX = 3
_UNAVAILABLE = (502, 503, 504)
_RETRY_AFTER_S = 5  # seconds until the next attempt, if nothing better is known
_CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class UpstreamUnavailable(Exception):
    """No response, an unreadable one, or the circuit is open."""

    def __init__(self, name: str, retry_after_s: int = _RETRY_AFTER_S) -> None:
        super().__init__(f"{name} does not answer")
        self.name = name
        self.retry_after_s = retry_after_s


class UpstreamClient:
    """HTTP to one service. It forwards nothing of the client's request but what the caller passes."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        caller: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        verify: ssl.SSLContext | Literal[True] = True,
    ) -> None:
        """`caller`: the program that calls the service `name`, for the metrics.

        `verify`: the TLS context; by default the system's authorities are trusted.
        """
        self.name = name
        self._timeout_s = timeout_s
        self._circuit = CircuitBreaker(probe_s=timeout_s, changed=report_circuit(caller, name))
        self._metrics = RequestTimer(caller, name)
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=timeout_s,
            limits=_CONNECTIONS,
            transport=transport,
            trust_env=False,
            verify=verify,
        )

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        """See `request`."""
        return await self.request("GET", path, params=params, headers=headers, token=token)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        """Returns the response, whatever its status. Raises UpstreamUnavailable. `token`: a Bearer token."""
        with client_span(method, self._http.base_url) as span:
            request = self._http.build_request(
                method, path, json=json, params=params, headers=self._headers(headers, token)
            )
            timing = self._metrics.begin(request)
            if not self._circuit.allow_request():
                timing.failed("circuit_open")
                raise self._unavailable()
            try:
                async with asyncio.timeout(self._timeout_s):
                    response = await self._send(request)
            except (httpx.TransportError, TimeoutError) as error:
                timing.failed(error_type_of(error))
                self._circuit.record_failure()
                raise self._unavailable() from None
            timing.responded(response.status_code)
            describe_response(span, response.status_code)
            if response.status_code in _UNAVAILABLE:
                self._circuit.record_failure()
                raise self._unavailable()
            self._circuit.record_success()
            return response

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        content: AsyncIterator[bytes] | None,
        headers: Mapping[str, str],
        token: str,
    ) -> AsyncIterator[httpx.Response]:
        """The response as a stream; raises UpstreamUnavailable if the service does not accept the connection.

        The caller limits the time until it begins.
        """
        unending = httpx.Timeout(self._timeout_s, read=None)
        with client_span(method, self._http.base_url) as span:
            request = self._http.build_request(
                method, path, content=content, headers=self._headers(headers, token), timeout=unending
            )
            timing = self._metrics.begin(request)
            if not self._circuit.allow_request():
                timing.failed("circuit_open")
                raise self._unavailable()
            try:
                response = await self._http.send(request, stream=True)
            except httpx.TransportError as error:
                timing.failed(error_type_of(error))
                self._circuit.record_failure()
                raise self._unavailable() from None
            timing.responded(response.status_code)
            describe_response(span, response.status_code)
            self._circuit.record_success()
        try:
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._http.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            return await self._http.send(request)
        backoff = Backoff(0.05, 0.1)
        tries = AsyncRetrying(
            stop=stop_after_attempt(_TRIES_MAX),
            wait=lambda _: backoff.next_s(),
            retry=retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        return await tries(self._http.send, request)

    def _headers(self, given: Mapping[str, str] | None, token: str | None) -> dict[str, str]:
        context = request_context.current()
        span = tracing.current()
        trace = context.traceparent if span is None else span.traceparent
        headers = {"X-Request-Id": context.request_id, "traceparent": trace, **(given or {})}
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def _unavailable(self) -> UpstreamUnavailable:
        return UpstreamUnavailable(self.name, max(1, round(self._circuit.open_s + 0.5)))

"""The metrics of an HTTP client: how long another service takes to respond."""

import time
from typing import Literal

import httpx

from chassis.messaging.untrusted import traceparent
from chassis.telemetry import metrics
from chassis.telemetry.exemplars import trace_exemplar
from chassis.web.request_metrics import method_label

ErrorType = Literal["timeout", "unavailable", "circuit_open"]


class RequestTimer:
    """Times the requests of one program to one service."""

    def __init__(self, service: str, peer: str) -> None:
        self.service = service
        self.peer = peer

    def begin(self, request: httpx.Request) -> "TimedRequest":
        return TimedRequest(self, request)


class TimedRequest:
    """One request, from now on."""

    def __init__(self, timer: RequestTimer, request: httpx.Request) -> None:
        self._timer = timer
        self._request = request
        self._began = time.perf_counter()

    def responded(self, status: int) -> None:
        self._observe(str(status), "")

    def failed(self, error_type: ErrorType) -> None:
        """There is no response."""
        self._observe("", error_type)

    def _observe(self, status: str, error_type: str) -> None:
        request = self._request
        method = method_label(request.method)
        labels = (self._timer.service, self._timer.peer, method, status, error_type)
        trace = traceparent(request.headers.get("traceparent"))
        duration_s = time.perf_counter() - self._began
        metrics.HTTP_CLIENT_DURATION.labels(*labels).observe(duration_s, trace_exemplar(trace))


def error_type_of(error: Exception) -> ErrorType:
    return "timeout" if isinstance(error, TimeoutError | httpx.TimeoutException) else "unavailable"

"""The HTTP client of a service that is slow, does not respond, or is unreachable."""

import asyncio
from typing import Any

import httpx
import pytest

from chassis.circuit_breaker import FAILURES_MAX, CircuitBreaker, CircuitState
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable


class Service(httpx.AsyncBaseTransport):
    """Acts on each request according to `script`, in order;
    the last entry applies to all further requests.
    """

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(what, Exception):
            raise what
        if what == "silence":
            await asyncio.sleep(60)
        return httpx.Response(what)


def upstream(service: Service, timeout_s: float = 30) -> UpstreamClient:
    return UpstreamClient("product_svc", "http://product_svc", transport=service, timeout_s=timeout_s)


async def test_a_read_is_tried_again_and_a_change_is_not() -> None:
    service = Service(httpx.ConnectError("gone"), httpx.ReadError("gone"), 200)
    assert (await upstream(service).get("/products")).status_code == 200
    assert service.asked == 3
    service = Service(httpx.ReadError("gone"), 200)
    with pytest.raises(UpstreamUnavailable):
        await upstream(service).request("POST", "/users")
    assert service.asked == 1


async def test_a_request_without_response_times_out() -> None:
    with pytest.raises(UpstreamUnavailable) as away:
        await upstream(Service("silence"), timeout_s=0.05).get("/products")
    assert away.value.name == "product_svc" and away.value.retry_after_s >= 1


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_503_counts_as_unavailable(status: int) -> None:
    with pytest.raises(UpstreamUnavailable):
        await upstream(Service(status)).get("/products")


async def test_a_rejection_is_a_response() -> None:
    service = Service(404)
    products = upstream(service)
    for _ in range(FAILURES_MAX + 1):
        assert (await products.get("/products/X")).status_code == 404


async def test_after_timeouts_only_a_successful_probe_allows_requests() -> None:
    service = Service(*[httpx.ConnectError("gone")] * FAILURES_MAX, 200)
    products, now = upstream(service), 0.0
    products._circuit = CircuitBreaker(probe_s=2.0, clock=lambda: now)
    for _ in range(FAILURES_MAX + 3):
        with pytest.raises(UpstreamUnavailable):
            await products.request("POST", "/users")
    assert service.asked == FAILURES_MAX
    now += products._circuit.open_s + 0.001
    for _ in range(2):
        assert (await products.request("POST", "/users")).status_code == 200


def test_probes_are_single_and_pauses_grow_after_failures() -> None:
    now = 0.0
    circuit = CircuitBreaker(probe_s=2.0, clock=lambda: now)
    for _ in range(FAILURES_MAX):
        assert circuit.allow_request()
        circuit.record_failure()
    pauses = []
    for _ in range(8):
        pauses.append(circuit.open_s)
        assert not circuit.allow_request()
        now += circuit.open_s + 0.001
        assert circuit.state is CircuitState.HALF_OPEN
        assert circuit.allow_request() and not circuit.allow_request()
        circuit.record_failure()
        assert circuit.open_s
    assert 0.8 <= pauses[0] <= 1.2 and pauses[:5] == sorted(pauses[:5]) and 24.0 <= pauses[-1] <= 36.0
    now += circuit.open_s + 0.001
    assert circuit.allow_request()
    circuit.record_success()
    assert circuit.state is CircuitState.CLOSED
    assert circuit.allow_request() and circuit.allow_request()


async def test_a_probe_has_as_long_as_any_request() -> None:
    products = upstream(Service(200), timeout_s=10)
    now, products._circuit._clock = 0.0, lambda: now
    for _ in range(FAILURES_MAX):
        products._circuit.record_failure()
    now = 2.0
    assert products._circuit.allow_request()
    now = 11.0
    assert not products._circuit.allow_request(), "the first one may still get a response"
    now = 13.0
    assert products._circuit.allow_request()


def test_an_abandoned_probe_does_not_block_the_circuit() -> None:
    now = 0.0
    circuit = CircuitBreaker(probe_s=2.0, clock=lambda: now)
    for _ in range(FAILURES_MAX):
        circuit.record_failure()
    now += 2
    assert circuit.allow_request()  # and its caller disconnects
    now += 3
    assert circuit.allow_request()


async def test_only_the_passed_headers_are_forwarded() -> None:
    handled_type: list[httpx.Request] = []

    async def listen(request: httpx.Request) -> httpx.Response:
        handled_type.append(request)
        return httpx.Response(200)

    products = UpstreamClient("product_svc", "http://product_svc", transport=httpx.MockTransport(listen))
    await products.get("/products", params={"q": "tea"}, token="abc")
    [request] = handled_type
    assert request.headers["Authorization"] == "Bearer abc"
    assert request.headers["X-Request-Id"] and request.headers["traceparent"]
    assert "cookie" not in request.headers

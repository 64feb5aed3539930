"""The metrics of requests: to HTTP servers, to other services, and to MongoDB; and circuit breakers."""

from collections.abc import Callable

import httpx
import pytest
from pymongo.errors import AutoReconnect

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.circuit_breaker import FAILURES_MAX
from chassis.runtime import Runtime
from chassis.store.mongodb_operations import SEVERAL, MongoOperations
from chassis.store.protocol import StoreUnavailable
from chassis.web.app import create_app
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from journey.admin.registry import shop_topology
from product_svc.api import routes
from product_svc.service import product_service
from tests.support.metric_changes import MetricChanges, gauge


@pytest.fixture
def metrics() -> MetricChanges:
    return MetricChanges()


async def test_a_request_is_measured_by_route_and_status(metrics: MetricChanges) -> None:
    bus = MemoryBus(MemoryBroker(shop_topology()), "product_svc")
    runtime = Runtime(product_service(), bus, MemoryStore())
    transport = httpx.ASGITransport(create_app(runtime, routes(runtime)))
    async with httpx.AsyncClient(transport=transport, base_url="http://product_svc") as http:
        for sku in ("KETTLE-BLUE", "MUG-WHITE"):
            assert (await http.get(f"/products/{sku}")).status_code == 404
        assert (await http.get("/healthz")).status_code == 200
    name = "http_server_request_duration_seconds_count"
    common = {"service": "product_svc", "listener": "internal", "http_request_method": "GET"}
    missing = {"http_route": "/products/{sku}", "http_response_status_code": "404"}
    healthy = {"http_route": "/healthz", "http_response_status_code": "200"}
    assert metrics.of(name, **common, **missing) == 2
    assert metrics.of(name, **common, **healthy) == 1
    assert metrics[name] == 3


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def late(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no response")


@pytest.mark.parametrize(
    ("respond", "status", "error_type"),
    [
        (lambda request: httpx.Response(204), "204", ""),
        (refused, "", "unavailable"),
        (late, "", "timeout"),
    ],
    ids=["response", "unavailable", "timeout"],
)
async def test_a_request_to_a_service_is_measured_once(
    metrics: MetricChanges, respond: Callable[[httpx.Request], httpx.Response], status: str, error_type: str
) -> None:
    client = UpstreamClient(
        "user_svc", "http://user_svc", caller="gateway", transport=httpx.MockTransport(respond)
    )
    try:
        assert (await client.get("/users")).status_code == 204
    except UpstreamUnavailable:
        assert error_type
    await client.close()
    found = {
        "service": "gateway",
        "peer_service": "user_svc",
        "http_response_status_code": status,
        "error_type": error_type,
    }
    assert metrics.of("http_client_request_duration_seconds_count", **found) == 1
    assert metrics["http_client_request_duration_seconds_count"] == 1


async def test_an_open_circuit_is_a_gauge_and_an_error_type(metrics: MetricChanges) -> None:
    client = UpstreamClient(
        "user_svc", "http://user_svc", caller="gateway", transport=httpx.MockTransport(refused)
    )
    states = {"closed": 1, "open": 0, "half_open": 0}

    def check_states() -> None:
        for state, expected in states.items():
            labels = {"service": "gateway", "circuit": "user_svc", "state": state}
            assert gauge("journey_circuit_breaker_state", **labels) == expected, state

    check_states()
    for _ in range(FAILURES_MAX + 1):
        with pytest.raises(UpstreamUnavailable):
            await client.get("/users")
    await client.close()
    states |= {"closed": 0, "open": 1}
    check_states()
    name = "http_client_request_duration_seconds_count"
    assert metrics.of(name, peer_service="user_svc", error_type="circuit_open") == 1
    assert metrics.of(name, peer_service="user_svc", error_type="unavailable") == FAILURES_MAX


async def test_operations_on_mongodb_are_measured_with_their_errors(metrics: MetricChanges) -> None:
    operations = MongoOperations("order_svc")
    async with operations.run("load", "orders"):
        pass
    with pytest.raises(StoreUnavailable):
        async with operations.run("save", "orders", "prices"):
            raise AutoReconnect("connection closed")
    name = "db_client_operation_duration_seconds_count"
    loaded = {"db_operation_name": "load", "db_collection_name": "orders", "error_type": ""}
    failed = {
        "db_operation_name": "save",
        "db_collection_name": SEVERAL,
        "error_type": "StoreUnavailable",
    }
    assert metrics.of(name, service="order_svc", **loaded) == 1
    assert metrics.of(name, service="order_svc", **failed) == 1

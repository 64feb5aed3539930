"""The label sets of all metrics are bounded: rubbish of every kind creates no label value of its own.

One test plays hostile messages, unknown types, odd paths and methods, and names of clients. It compares every
label value that came up with the sets that the definitions allow.
"""

import asyncio
from typing import get_args
from uuid import uuid4

import httpx
import pytest
from prometheus_client import REGISTRY

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.protocol import Delivery
from chassis.circuit_breaker import CircuitState
from chassis.core.background import BackgroundTask
from chassis.core.failure_reasons import Reason
from chassis.core.observer import UNKNOWN_TYPE, EffectOutcome
from chassis.messaging.envelope import WireMessage
from chassis.messaging.senders import UNLISTED, UNVERIFIED
from chassis.runtime import Runtime
from chassis.web.app import create_app
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from chassis.web.request_metrics import METHODS, NO_ROUTE, OTHER_METHOD
from contracts import orders
from contracts.catalog import CATALOG
from gateway.app import create_app as create_public_app
from journey.admin.broker.losses import Losses
from journey.admin.registry import CONSUMING_SERVICES, shop_topology
from order_svc.api import routes
from tests.support.metrics_table import instruments
from tests.support.shops.gateway import GatewayFixture

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]  # by sample name and labels
DEFINITIONS = {name: make() for name, make in CONSUMING_SERVICES.items()}
PROGRAMS = frozenset({*DEFINITIONS, "operations"})
AGGREGATES = [aggregate for each in DEFINITIONS.values() for aggregate in each.aggregates]
ALLOWED: dict[str, frozenset[str]] = {
    "service": PROGRAMS,
    "peer_service": PROGRAMS,
    "circuit": PROGRAMS | {"effects", "rate_limits"},
    "type": frozenset({*CATALOG, UNKNOWN_TYPE}),
    "kind": frozenset(kind for each in DEFINITIONS.values() for kind in each.kinds),
    "status": frozenset(status for each in AGGREGATES for status in each.open_statuses),
    "role": frozenset({*CATALOG.roles, UNVERIFIED, UNLISTED}),
    "rung": frozenset(name for each in DEFINITIONS.values() for name in each.retry_ladder.names),
    "reason": frozenset(get_args(Reason)),
    "outcome": frozenset(get_args(EffectOutcome)) | {"confirmed", "cancelled", "rejected", "good", "wrong"},
    "result": frozenset({"hit", "miss", "new", "bypassed"}),
    "state": frozenset(CircuitState),
    "what": frozenset({"examined", "dated"}),
    "task": frozenset(get_args(BackgroundTask)),
    "listener": frozenset({"public", "internal"}),
    "http_request_method": METHODS | {OTHER_METHOD},
    "http_response_status_code": frozenset({"", *map(str, range(100, 600))}),
    "error_type": frozenset({"", "timeout", "unavailable", "circuit_open", "StoreUnavailable"}),
}


def rubbish() -> str:
    return f"rubbish{uuid4().hex}"


def samples() -> Samples:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in REGISTRY.collect()
        if not family.name.startswith(("python", "process"))
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def observed_since(before: Samples) -> Samples:
    """The samples that are new or changed. Other tests of this process may have created the series before."""
    return {key: value for key, value in samples().items() if before.get(key) != value}


def test_every_metric_is_declared() -> None:
    """Only then the tables and the test below know it."""
    declared = {name.removesuffix("_total") for name in instruments()}
    families = [family.name for family in REGISTRY.collect()]
    found = {name for name in families if not name.startswith(("python", "process"))}
    assert found <= declared


async def test_invalid_input_creates_no_label_value() -> None:
    before = samples()
    service = DEFINITIONS["order_svc"]
    runtime = Runtime(service, MemoryBus(MemoryBroker(shop_topology()), "order_svc"), MemoryStore())
    gateway = GatewayFixture()
    gateway_routes = {getattr(route, "path", "") for route in create_public_app(gateway.deps).routes}
    await runtime.start()
    try:
        await _hostile_messages(runtime)
        order_app = create_app(runtime, routes(runtime))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(order_app, raise_app_exceptions=False), base_url="http://x"
        ) as http:
            await _odd_requests(http)
        await _odd_requests(gateway.program())
        await _odd_responses()
    finally:
        await runtime.stop(5)
    allowed = ALLOWED | {
        "http_route": frozenset(
            {NO_ROUTE, *gateway_routes, *(getattr(route, "path", "") for route in order_app.routes)}
        )
    }
    observed = {
        (metric, label, value)
        for metric, labels in observed_since(before)
        for label, value in labels
        if label != "le"
    }
    assert {series for series in observed if series[2] not in allowed[series[1]]} == set()
    labels_of_requests = {"http_route", "http_request_method"}
    assert {label for _, label, _ in observed} >= {"type", "role", "reason"} | labels_of_requests


async def _hostile_messages(runtime: Runtime) -> None:
    dispatcher = runtime._dispatcher
    assert dispatcher is not None
    settled: list[bool] = []

    async def settle(is_handled: bool) -> None:
        settled.append(is_handled)

    sent = 0
    for type_ in (rubbish(), None, orders.PlaceOrder.TYPE, orders.OrderConfirmed.TYPE, "x" * 300, "\x00\n"):
        for user in (rubbish(), None, f"client.{rubbish()}", "order_svc"):
            for exchange in (rubbish(), "", "commands", "events"):
                headers = {"traceparent": rubbish(), rubbish(): rubbish(), "attempt": 3, "time": rubbish()}
                wire_message = WireMessage(
                    exchange, rubbish(), b"{", rubbish(), type_, rubbish(), rubbish(), headers, user_id=user
                )
                dispatcher.receive(Delivery(wire_message, "order_svc.commands", settle, returned=sent % 40))
                sent += 1
    async with asyncio.timeout(30):
        while len(settled) < sent:
            await asyncio.sleep(0.05)


async def _odd_requests(http: httpx.AsyncClient) -> None:
    paths = (
        f"/{rubbish()}",
        f"/orders/{rubbish()}",
        f"/handled/{rubbish()}",
        f"/static/{rubbish()}",
        "/%00/..",
    )
    for path in paths:
        for method in ("GET", "HEAD", "TRACE", rubbish().upper()):
            headers = {"traceparent": rubbish(), "X-Request-Id": rubbish(), "User-Agent": rubbish()}
            await http.request(method, path, params={rubbish(): rubbish()}, headers=headers)


async def _odd_responses() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(599, text=rubbish()))
    client = UpstreamClient("user_svc", "http://user_svc", caller="gateway", transport=transport)
    await client.request(rubbish().upper(), f"/{rubbish()}")
    await client.close()

    def dead(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(rubbish())

    client = UpstreamClient(
        "user_svc", "http://user_svc", caller="gateway", transport=httpx.MockTransport(dead)
    )
    for _ in range(8):
        with pytest.raises(UpstreamUnavailable):
            await client.get(f"/{rubbish()}")
    await client.close()


def test_queues_of_clients_share_one_label_value() -> None:
    lost = {"order_svc.dead": 2, "a queue of client.a": 3, "a queue of client.b": 4}
    assert Losses(lost).by_own_queue == {"order_svc.dead": 2, "other queues": 7}

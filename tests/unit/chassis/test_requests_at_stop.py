"""Requests in flight finish before a process disconnects from its database, within the drain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.definition import ServiceDefinition
from chassis.core.dispatcher import Dispatcher
from chassis.runtime import Lifespan, Runtime
from chassis.service_process import served
from chassis.settings import Settings
from chassis.web import app as web
from gateway import __main__ as gateway
from gateway.service import gateway_service
from journey.devenv.infra import ports
from order_svc.service import order_service
from tests.support.eventually import until
from tests.support.shops.gateway import gateway_settings

DRAIN_S = 30.0
WAIT_S_MAX = 60.0


class Connected(MemoryStore):
    """Knows whether it is still connected."""

    connected = True

    async def stop(self) -> None:
        self.connected = False


class SlowRequest:
    """A route that responds when the test says so, and whether the database was connected then."""

    def __init__(self) -> None:
        self.store = Connected()
        self.begun, self.finish = asyncio.Event(), asyncio.Event()

    async def handle(self) -> bool:
        self.begun.set()
        await self.finish.wait()
        return self.store.connected

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/slow", self.handle)
        return router

    def runtime(self, service: ServiceDefinition, lifespan: Lifespan | None = None) -> Runtime:
        bus = MemoryBus(MemoryBroker(build([service])), service.name)
        return Runtime(service, bus, self.store, lifespan=lifespan)


@pytest.fixture
def slow() -> SlowRequest:
    return SlowRequest()


@asynccontextmanager
async def internal_server(slow: SlowRequest) -> AsyncIterator[tuple[Runtime, str]]:
    """A service with its internal HTTP server, and its address."""
    [port] = ports.free_ports(1)
    settings = Settings(
        amqp_url="amqp://order_svc@localhost/x", mongo_url="mongodb://localhost/", http_port=port
    )
    runtime = slow.runtime(order_service())
    async with served(runtime, settings, lambda _: slow.routes()):
        await runtime.start()
        yield runtime, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def public_server(
    slow: SlowRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Runtime, str]]:
    """The gateway's public server, with the slow route only."""
    [port] = ports.free_ports(1)
    public = FastAPI()
    public.include_router(slow.routes())
    monkeypatch.setattr(gateway, "create_app", lambda deps: public)
    lifespan = partial(gateway.serve_public_api, gateway_settings(public_port=port))
    runtime = slow.runtime(gateway_service(), lifespan)
    await runtime.start()
    yield runtime, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def server(
    kind: str, slow: SlowRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Runtime, str]]:
    chosen = internal_server(slow) if kind == "internal" else public_server(slow, monkeypatch)
    async with chosen as (runtime, address):
        await until(partial(responds, f"{address}/nothing"), within_s=WAIT_S_MAX)
        yield runtime, address


async def responds(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as http:
            await http.get(url)
    except httpx.TransportError:
        return False
    return True


async def in_flight(http: httpx.AsyncClient, address: str, slow: SlowRequest) -> asyncio.Task[httpx.Response]:
    request = asyncio.create_task(http.get(f"{address}/slow"))
    await slow.begun.wait()
    return request


async def refuses(url: str) -> bool:
    return not await responds(url)


@pytest.mark.parametrize("kind", ["internal", "public"])
async def test_a_request_in_flight_gets_the_rest_of_the_drain(
    kind: str, slow: SlowRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "FINISH_S", 1.0)
    async with server(kind, slow, monkeypatch) as (runtime, address), httpx.AsyncClient(timeout=60) as http:
        request = await in_flight(http, address, slow)
        stopping = asyncio.create_task(runtime.stop(DRAIN_S))
        await until(partial(refuses, f"{address}/nothing"), within_s=WAIT_S_MAX)
        await asyncio.sleep(web.FINISH_S + 0.5)
        assert not stopping.done() and not request.done()
        slow.finish.set()
        response = await request
        assert (response.status_code, response.json()) == (200, True)
        async with asyncio.timeout(DRAIN_S / 2):
            await stopping


@pytest.mark.parametrize("kind", ["internal", "public"])
async def test_a_request_without_end_does_not_hold_the_stop(
    kind: str, slow: SlowRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages have taken the whole drain: a request gets FINISH_S."""
    monkeypatch.setattr(web, "FINISH_S", 1.0)
    async with server(kind, slow, monkeypatch) as (runtime, address), httpx.AsyncClient(timeout=60) as http:
        request = await in_flight(http, address, slow)
        async with asyncio.timeout(DRAIN_S):
            await runtime.stop(0.001)
        with pytest.raises(httpx.HTTPError):
            (await request).raise_for_status()


async def test_streams_end_before_the_messages_are_drained(
    slow: SlowRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained = asyncio.Event()
    monkeypatch.setattr(Dispatcher, "drain", lambda _: drained.wait())
    runtime = slow.runtime(order_service())
    await runtime.start()
    stopping = asyncio.create_task(runtime.stop(DRAIN_S))
    async with asyncio.timeout(WAIT_S_MAX):
        await runtime.stopping.wait()
    assert not stopping.done() and slow.store.connected
    drained.set()
    await stopping


async def test_a_stopping_service_is_not_ready(slow: SlowRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    drained = asyncio.Event()
    monkeypatch.setattr(Dispatcher, "drain", lambda _: drained.wait())
    async with server("internal", slow, monkeypatch) as (runtime, address), httpx.AsyncClient() as http:
        await until(lambda: not runtime.unready(), within_s=WAIT_S_MAX)
        assert (await http.get(f"{address}/readyz")).status_code == 200
        stopping = asyncio.create_task(runtime.stop(DRAIN_S))
        await runtime.stopping.wait()
        response = await http.get(f"{address}/readyz")
        assert (response.status_code, response.json()["detail"][:8]) == (503, "stopping")
        drained.set()
        await stopping


async def test_a_crashed_instance_leaves_requests_no_drain(slow: SlowRequest) -> None:
    runtime = slow.runtime(order_service())
    await runtime.start()
    runtime.crashed.set_result(RuntimeError("for this test"))
    await runtime.stop(DRAIN_S)
    assert runtime.left_s == 0.0

"""HEAD responds like GET without the body, at every URL: pages, API, services, operations.

Streams end at once.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse, StreamingResponse

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.runtime import Runtime
from chassis.web.app import create_app
from chassis.web.head_requests import HeadAsGet
from journey.admin.registry import SERVICES, shop_topology
from tests.support.order_outcomes import ORDER, OUTCOMES
from tests.support.shops.gateway import GatewayFixture
from tests.support.timeline_fixtures import ListeningServer, store_timeline
from tests.unit.gateway.live.test_streams import session

_VARYING = {"x-request-id", "date", "ratelimit"}


def steady(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in _VARYING}


async def compared(http: httpx.AsyncClient, path: str) -> None:
    got, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (got.status_code, b""), path
    assert steady(head) == steady(got), path


@pytest.mark.parametrize("name", SERVICES)
async def test_every_service_responds_to_head_as_to_get(name: str) -> None:
    runtime: Any = Runtime(SERVICES[name](), MemoryBus(MemoryBroker(shop_topology()), name), MemoryStore())
    transport = httpx.ASGITransport(create_app(runtime, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        for path in ("/healthz", "/openapi.json", "/no-such-page"):
            await compared(http, path)


async def test_the_gateway_responds_to_head_as_to_get() -> None:
    gateway = GatewayFixture()
    await store_timeline(gateway, OUTCOMES["paying"])
    ada = await gateway.logged_in()
    spec = (await ada.get("/openapi.json")).json()["paths"]
    api = [
        path.format(order_id=ORDER, sku="TEA", product="TEA") for path, ways in spec.items() if "get" in ways
    ]
    own = (f"/orders/{ORDER}", f"/orders/{ORDER}/messages", "/account")
    pages = ["/", "/login", "/basket", "/orders", *own, "/nowhere"]
    for path in (*api, *pages, "/static/shop.css", "/openapi.json"):
        if not path.endswith("/events"):
            await compared(ada, path)
    refused = await ada.head("/logout")
    assert refused.status_code == (await ada.get("/logout")).status_code == 405


@pytest.mark.parametrize("path", [f"/orders/{ORDER}/live", f"/api/v1/orders/{ORDER}/events"])
async def test_head_of_a_stream_ends_and_releases_its_slot(path: str) -> None:
    gateway = GatewayFixture()
    await store_timeline(gateway, OUTCOMES["paying"])
    ada = await gateway.logged_in()
    async with (
        asyncio.timeout(60),
        ListeningServer(gateway.app) as server,
        httpx.AsyncClient(base_url=server.url) as http,
    ):
        for _ in range(8):  # more than the streams allowed per user
            head = await http.head(path, headers=session(ada) | {"Accept": "text/event-stream"})
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"].startswith("text/event-stream")
        while gateway.deps.live.quota.open_streams(gateway.user_id()):
            await asyncio.sleep(0.01)


async def test_a_failing_stream_is_not_mistaken_for_a_disconnect() -> None:
    app = FastAPI()

    @app.get("/broken")
    async def broken() -> None:
        raise OSError("the disk is gone")

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            while True:
                yield "data: 1\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/plain")
    async def plain() -> PlainTextResponse:
        return PlainTextResponse("five5")

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(HeadAsGet(app)), base_url="http://any"
    ) as http:
        assert (await http.head("/endless")).status_code == 200
        assert (await http.head("/plain")).headers["content-length"] == "5"
        with pytest.raises(OSError, match="disk"):
            await http.head("/broken")

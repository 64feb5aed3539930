"""The public server of a gateway process: a port of its own, open while the gateway runs."""

import asyncio
from functools import partial

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.runtime import Runtime
from chassis.settings import BadSettings, load_settings
from gateway.__main__ import serve_public_api
from gateway.service import gateway_service
from gateway.settings import GatewaySettings
from journey.admin.registry import shop_topology
from journey.devenv.infra import ports
from tests.support.shops.gateway import gateway_settings


async def test_the_public_server_has_its_own_port() -> None:
    [number] = ports.free_ports(1)
    settings = gateway_settings(public_port=number)
    bus = MemoryBus(MemoryBroker(shop_topology()), "gateway")
    runtime = Runtime(gateway_service(), bus, MemoryStore(), lifespan=partial(serve_public_api, settings))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{number}", timeout=60) as http:
        await runtime.start()
        try:
            assert (await http.get("/problems")).status_code == 200
            # by default uvicorn would trust this header from any local client
            lied = await http.get("/api/v1/orders", headers={"X-Forwarded-For": "10.0.0.1"})
            assert lied.status_code == 401
            assert (await http.get("/metrics")).status_code == 404
        finally:
            async with asyncio.timeout(60):
                await runtime.stop(5)
        with pytest.raises(httpx.ConnectError):
            await http.get("/problems")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SERVICE_TOKEN", "short", "at least 16 characters"),
        ("USER_SVC_URL", "user_svc:8080", "http://"),
        ("TRUSTED_PROXIES", "10.0.0.0/99", "10.0.0.0/99"),
        ("PUBLIC_URL", "https://shop.example/path", "no path"),
    ],
)
def test_wrong_settings_are_named_with_their_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    good = {
        "AMQP_URL": "amqp://gateway@localhost/x",
        "MONGO_URL": "mongodb://localhost/",
        "USER_SVC_URL": "http://user_svc:8080",
        "PRODUCT_SVC_URL": "http://product_svc:8080",
        "INVENTORY_SVC_URL": "http://inventory_svc:8080",
        "SERVICE_TOKEN": "the-token-of-the-services",
        "TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
    }
    for key, text in good.items():
        monkeypatch.setenv(key, text)
    assert load_settings(GatewaySettings).trusted_proxies == ("10.0.0.0/8", "192.0.2.1")
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as entry:
        load_settings(GatewaySettings)
    assert name in str(entry.value) and expected in str(entry.value)

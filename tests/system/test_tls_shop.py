"""A whole shop with TLS_REQUIRED, on a broker and a database that accept TLS only."""

import math
from pathlib import Path

import httpx
import pytest

from journey.admin import ssl_context
from journey.devenv import demo_users
from journey.devenv.demo_customer import DemoCustomer
from journey.devenv.shop import copies_in_mailbox, seed
from tests.support.eventually import until
from tests.support.shops.tls import TlsShop
from tests.support.tls_servers import HOST, tls_proxy
from tests.support.tls_shop_fixtures import RunningTlsShop, tls_shop

__all__ = ["tls_shop"]

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(900)]

WAIT_S = 300.0
ADDRESS = "127.0.0.1"  # not in the certificate


async def test_an_order_is_confirmed_over_tls_only(tls_shop: RunningTlsShop) -> None:
    """From the browser's side of the proxy to the mail; and a service refuses a wrong host name."""
    shop, files = tls_shop.shop, tls_shop.files
    assert all(address.startswith("https://") for address in shop.endpoints.http.values())
    await seed(shop)
    customer = (await demo_users.ensure(shop)).customer
    async with (
        tls_proxy(files, shop.gateway_port) as port,
        httpx.AsyncClient(timeout=60, verify=ssl_context.tls()) as http,
    ):
        ada = await DemoCustomer.logged_in(http, f"https://{HOST}:{port}", customer)
        order_id = await ada.place({"TEA-GREEN": 1}, "tok_visa")
        events = [event async for event in ada.follow(order_id)]
    assert events[-1]["status"] == "confirmed"

    async def mails() -> int:
        return (await copies_in_mailbox(shop))(order_id)

    assert await until(mails, within_s=WAIT_S) == 1
    assert await until(lambda: drift(shop), within_s=WAIT_S) == "known", "operations reaches the broker"
    await services_refuse_another_host_name(shop)
    await nothing_is_reached_without_tls(shop)


async def drift(shop: TlsShop) -> str:
    """Whether operations has compared the broker with the topology, through the management API."""
    async with httpx.AsyncClient(timeout=60, verify=ssl_context.tls()) as http:
        text = (await http.get(f"{shop.endpoints.http['operations']}/metrics")).text
    values = [line.split()[1] for line in text.splitlines() if line.startswith("journey_topology_drift ")]
    return "known" if values and not math.isnan(float(values[0])) else ""


async def services_refuse_another_host_name(shop: TlsShop) -> None:
    """Further instances of a service, each with an address that is not in the server's certificate."""
    for instance, name in enumerate(("AMQP_URL", "MONGO_URL"), start=2):
        url = shop.environment("payment_svc")[name]
        shop.start("payment_svc", instance, **{name: url.replace(f"@{HOST}:", f"@{ADDRESS}:")})
        await logs(shop.state_dir / "log" / f"payment_svc.{instance}.log", "certificate")
        await shop.kill("payment_svc", instance)


async def logs(file: Path, text: str) -> None:
    await until(lambda: text in file.read_text(), within_s=WAIT_S)


async def nothing_is_reached_without_tls(shop: TlsShop) -> None:
    """The internal API of each process."""
    async with httpx.AsyncClient(timeout=60) as http:
        for name, address in shop.endpoints.http.items():
            with pytest.raises(httpx.HTTPError):
                await http.get(address.replace("https://", "http://"))
                pytest.fail(f"{name} responds without TLS")

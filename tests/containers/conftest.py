"""The shop in containers, for tests that `make compose-test` runs: they need a Docker engine, and minutes.

`make test` does not collect them. COMPOSE_TESTS=short leaves out what takes longest.
"""

import os
import random
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio

from journey.admin.ssl_context import tls
from journey.devenv.compose_shop import ComposeShop
from journey.devenv.shop import register, seed
from tests.browser.conftest import browser, browser_path, window
from tests.containers.engine import compose_project
from tests.support.shops.browser import BrowserShop
from tests.support.system_fixtures import OrderLoad

__all__ = ["browser", "browser_path", "window"]

collect_ignore_glob = [] if os.environ.get("COMPOSE_TESTS") else ["test_*.py"]
shared = pytest_asyncio.fixture(scope="package", loop_scope="package")
# Every browser of these tests has an address of its own, which a proxy before the gateway would forward.
SETTINGS = {"TRUSTED_PROXIES": "172.16.0.0/12,192.168.0.0/16"}


@shared
async def compose_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ComposeShop]:
    """A shop of its own compose project; its containers and volumes are removed at the end."""
    state_dir = tmp_path_factory.mktemp("shop")
    async with compose_project(state_dir, "single") as shop:
        await shop.up(print, SETTINGS)
        await seed(shop)
        yield shop


@shared
async def shop(compose_shop: ComposeShop) -> AsyncIterator[BrowserShop]:
    """The same shop, for the tests of tests/browser."""
    opened = ContainerShop(compose_shop)
    async with opened.http:
        yield opened


class ContainerShop(BrowserShop):
    def __init__(self, system: ComposeShop) -> None:
        self.system = cast(Any, system)
        self.url = system.endpoints.shop_url  # the links in mails lead there, and cookies belong to one host
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60, verify=tls())


@pytest_asyncio.fixture(loop_scope="package")
async def order_load(compose_shop: ComposeShop) -> OrderLoad:
    seed_ = random.randrange(10**6)
    print(f"seed of the orders: {seed_}")
    await compose_shop.locate()
    load = OrderLoad(cast(Any, compose_shop), await register(compose_shop, ["Ada", "Grace"]), seed_)
    await load.staff.take_stock()
    return load

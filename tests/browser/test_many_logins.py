"""Two hundred users log in at the same moment. Password hashing is slow, but does not delay orders."""

import asyncio
from collections import Counter

import httpx
import pytest

from journey.admin.registry import SERVICES
from journey.admin.ssl_context import tls
from tests.support.shops.browser import BrowserShop, Person, random_client_address

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]

PEOPLE, LOG_INS_EACH = 20, 10
TRIES_MAX = 60


async def test_two_hundred_concurrent_logins_succeed_beside_orders(
    shop: BrowserShop,
) -> None:
    people = [await shop.register_user(f"P{number}") for number in range(PEOPLE)]
    over = asyncio.Event()
    async with await shop.program(people[0]) as program:
        probing = asyncio.create_task(unready(shop, over))
        ordering = asyncio.create_task(orders(shop, program, over))
        reported = await asyncio.gather(
            *(logged_in(shop, person) for person in people for _ in range(LOG_INS_EACH))
        )
        over.set()
        placed, failures = await ordering, await probing
        assert len(reported) == PEOPLE * LOG_INS_EACH
        assert failures == [], (
            "an event loop was blocked, or the broker closed a connection without heartbeats"
        )
        assert len(placed) >= 3
        for order_id in placed:
            await shop.wait_for_state(program, order_id, "confirmed")
    print(f"{len(reported)} logins after {Counter(reported)} tries, {len(placed)} orders meanwhile")


async def logged_in(shop: BrowserShop, person: Person) -> int:
    """Logs in, and retries after the Retry-After of each 429 or 503. Returns the number of attempts."""
    credentials, home = {"email": person.email, "password": person.password}, random_client_address()
    for tries in range(1, TRIES_MAX):
        async with httpx.AsyncClient(base_url=shop.url, timeout=60, verify=tls()) as http:
            response = await http.post("/api/v1/sessions", json=credentials, headers=home)
        if response.status_code == 201:
            return tries
        assert response.status_code in (429, 503), response.text
        await asyncio.sleep(float(response.headers["Retry-After"]))
    raise AssertionError(f"{TRIES_MAX} attempts got a 429 or 503")


async def unready(shop: BrowserShop, over: asyncio.Event) -> list[str]:
    """The services that were not ready, or did not respond in time, until `over` is set."""
    found = []
    async with httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_keepalive_connections=0)) as http:
        while not over.is_set():
            for name in (*SERVICES, "gateway", "gateway.2"):
                try:
                    response = await http.get(f"{shop.system.endpoints.http[name]}/readyz")
                except httpx.HTTPError as error:
                    found.append(f"{name}: {type(error).__name__}")
                    continue
                if response.status_code != 200:
                    found.append(f"{name}: {response.text}")
            await asyncio.sleep(0.2)
    return found


async def orders(shop: BrowserShop, program: httpx.AsyncClient, over: asyncio.Event) -> list[str]:
    placed = []
    while not over.is_set():
        placed.append(await shop.order(program, "TEA-GREEN"))
        await asyncio.sleep(0.5)
    return placed

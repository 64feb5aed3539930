"""Two processes of the gateway and of user_svc: live updates at either, and limits that count for both."""

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from chassis.messaging.identity import new_id
from journey.admin.endpoints import GATEWAY
from journey.admin.instances import process_of
from journey.devenv import demo_users
from journey.devenv.demo_customer import DemoCustomer
from journey.devenv.demo_users import DemoUser
from journey.devenv.process_shop import ProcessShop
from tests.support.shops.gateway import DELIVERY
from user_svc.auth.login_attempts import FREE_ATTEMPTS

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(600)]

ORDERS_PER_MINUTE = 12
HTTP_TIMEOUT_S = 30.0
LINES = {"TEA-GREEN": 1}
CARD = "tok_visa"
# An order needs payment_svc to be confirmed: while that is stopped, its live updates stay open.
HELD_BY = "payment_svc"


@pytest.fixture
async def gateways(system: ProcessShop) -> list[str]:
    """The public URLs of two gateways, in front of two instances of user_svc."""
    await system.scale({"user_svc": 2, GATEWAY: 2})
    return [system.endpoints.public[process_of(GATEWAY, number)] for number in (1, 2)]


@pytest.fixture
async def ada(system: ProcessShop) -> DemoUser:
    return (await demo_users.ensure(system)).customer


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_S) as client:
        yield client


async def test_both_gateways_show_the_same_live_updates(
    gateways: list[str], ada: DemoUser, http: httpx.AsyncClient
) -> None:
    at_first, at_second = [await DemoCustomer.logged_in(http, url, ada) for url in gateways]
    order_id = await at_first.place(LINES, CARD)
    seen = await asyncio.gather(*(_all(customer.follow(order_id)) for customer in (at_first, at_second)))
    # The status is the order's at the moment of reading, which differs between the gateways.
    first, second = ([{**event, "status": None} for event in events] for events in seen)
    assert first == second
    assert [event["seq"] for event in seen[0]] == list(range(1, len(seen[0]) + 1))
    assert seen[0][-1]["status"] == "confirmed"


async def test_a_surplus_gateway_stops_and_the_first_keeps_its_address(
    system: ProcessShop, gateways: list[str], http: httpx.AsyncClient
) -> None:
    await system.scale({GATEWAY: 1})
    assert system.endpoints.public == {GATEWAY: gateways[0]}
    assert (await http.get(gateways[0])).is_success
    with pytest.raises(httpx.ConnectError):
        await http.get(gateways[1])


async def test_live_updates_continue_at_another_gateway_after_a_kill(
    system: ProcessShop, gateways: list[str], ada: DemoUser, http: httpx.AsyncClient
) -> None:
    await system.stop(HELD_BY)
    at_first, at_second = [await DemoCustomer.logged_in(http, url, ada) for url in gateways]
    order_id = await at_first.place(LINES, CARD)
    before: list[dict[str, Any]] = []
    with pytest.raises(httpx.HTTPError):
        async for event in at_first.follow(order_id):
            before.append(event)
            if len(before) == 1:
                await system.kill(GATEWAY, 1)
    system.start(HELD_BY)
    after = await _all(at_second.follow(order_id, after=before[-1]["seq"]))
    sequence = [event["seq"] for event in (*before, *after)]
    assert sequence == list(range(1, len(sequence) + 1))
    assert after[-1]["status"] == "confirmed"


@pytest.mark.parametrize("system", [{"RATE_ORDERS": str(ORDERS_PER_MINUTE)}], indirect=True)
async def test_gateways_count_the_orders_of_a_user_together(
    gateways: list[str], ada: DemoUser, http: httpx.AsyncClient
) -> None:
    token = await _token(http, gateways[0], ada)
    statuses = Counter(
        [await _order(http, url, token) for url, _ in zip(itertools.cycle(gateways), range(16), strict=False)]
    )
    assert statuses == {202: ORDERS_PER_MINUTE, 429: 16 - ORDERS_PER_MINUTE}


@pytest.mark.parametrize("system", [{"UPSTREAM_S_MAX": "10"}], indirect=True)
@pytest.mark.parametrize("through", ["gateways", "instances of user_svc"])
async def test_instances_slow_down_guessing_together(
    system: ProcessShop, gateways: list[str], ada: DemoUser, http: httpx.AsyncClient, through: str
) -> None:
    urls = [f"{url}/api/v1/sessions" for url in gateways]
    if through != "gateways":
        urls = [f"{system.endpoints.http[process_of('user_svc', number)]}/sessions" for number in (1, 2)]
    guess = {"email": ada.email, "password": "not her password"}
    clock = asyncio.get_running_loop().time
    began = clock()
    responses = await asyncio.gather(*(http.post(urls[number % 2], json=guess) for number in range(14)))
    after_waiting = int(math.log2(1 + clock() - began))  # the waits double: 1 s, 2 s, 4 s
    statuses = Counter(response.status_code for response in responses)
    assert FREE_ATTEMPTS <= statuses[401] <= FREE_ATTEMPTS + after_waiting < 2 * FREE_ATTEMPTS, statuses
    assert statuses[429] == len(responses) - statuses[401]


async def _all(events: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        return [event async for event in events]


async def _token(http: httpx.AsyncClient, url: str, user: DemoUser) -> str:
    form = {"email": user.email, "password": user.password}
    response = (await http.post(f"{url}/api/v1/sessions", json=form)).raise_for_status()
    return str(response.json()["access_token"])


async def _order(http: httpx.AsyncClient, url: str, token: str) -> int:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in LINES.items()]
    response = await http.post(
        f"{url}/api/v1/orders",
        json={"lines": lines, "card_token": CARD, "delivery_address": DELIVERY},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": f'"{new_id()}"'},
    )
    return response.status_code

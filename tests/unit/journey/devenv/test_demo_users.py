"""The demo's two accounts: created once, found again, with unguessable passwords."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from chassis.messaging.envelope import OPERATOR
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.demo_users import ensure, log_in, people
from journey.devenv.infra.model import MEMORY_URL, Infrastructure
from journey.devenv.memory_shop import MemoryShop

NOWHERE = "127.0.0.1:1"  # these tests need no mails


@pytest.fixture
async def shop() -> AsyncIterator[MemoryShop]:
    found = Infrastructure(
        "memory", MEMORY_URL, MEMORY_URL, MEMORY_URL, f"smtp://{NOWHERE}", f"http://{NOWHERE}", ""
    )
    made = MemoryShop(found, None, own_ports=True)
    await made.up(lambda text: None)
    yield made
    await made.down(lambda text: None)


async def test_both_demo_users_can_log_in_and_one_is_staff(shop: MemoryShop) -> None:
    both = await ensure(shop)
    assert await ensure(shop) == both == people(shop.endpoints)
    async with httpx.AsyncClient(base_url=shop.endpoints.http["user_svc"], timeout=20) as user_svc:
        customer, staff = await log_in(user_svc, both.customer), await log_in(user_svc, both.staff)
        assert await log_in(user_svc, replace(both.staff, password=both.customer.password)) is None
    assert customer is not None and customer["roles"] == ["customer"]
    assert staff is not None and set(staff["roles"]) == {"customer", "staff"}


async def test_a_changed_password_is_kept_and_the_remedy_printed(shop: MemoryShop) -> None:
    ada = (await ensure(shop)).customer
    async with httpx.AsyncClient(base_url=shop.endpoints.http["user_svc"], timeout=20) as user_svc:
        tokens = await log_in(user_svc, ada)
        assert tokens is not None
        change = {"current": ada.password, "new": "a kettle of one's own"}
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        (await user_svc.put("/users/me/password", json=change, headers=bearer)).raise_for_status()
        with pytest.raises(InfrastructureUnavailable, match=r"ada@example\.org exists"):
            await ensure(shop)
        assert await log_in(user_svc, replace(ada, password="a kettle of one's own")) is not None


def test_demo_passwords_are_derived_from_the_operators_password() -> None:
    one, other = (
        ShopEndpoints("local", "", "", {OPERATOR: secret}, {}, "", "") for secret in ("s3cret", "0ther")
    )
    assert people(one) == people(one)
    assert {people(one).customer.password, people(one).staff.password}.isdisjoint(
        {people(other).customer.password, people(other).staff.password}
    )
    assert people(one).customer.password not in repr(people(one))

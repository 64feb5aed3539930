"""Where an order goes, on the pages of staff. Only the gateway has the address, and it may be away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from chassis.bus.memory import MemoryBus, MemoryStore
from chassis.clock import utc_now
from chassis.core.execute import execute
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from chassis.web.app import create_app
from contracts.http.users import AddressView
from contracts.roles import Role
from contracts.users import UserErased
from gateway.auth.access_versions import AccessVersions
from gateway.delivery.aggregates import ADDRESS_KEYS
from gateway.delivery.sealing import AddressSealing
from gateway.orders import internal_api
from gateway.orders.aggregates import TIMELINES
from gateway.orders.timeline import SubmitOrder
from gateway.service import gateway_service
from journey.admin.dead_letters.audit_log import AuditEntry
from operations.orders import delivery
from tests.support.shops.gateway import gateway_settings
from tests.support.shops.operations import ADA, OperationsApp, token

TRICK = '"><img src=x onerror=alert(1)>'
ADDRESS = AddressView(recipient=TRICK, street="1 Engine Yard", postcode="W1", city="London", country="GB")
SHOWN = "1 Engine Yard"


class Gateway:
    """A gateway that operations can reach."""

    def __init__(self, operations: OperationsApp) -> None:
        self.runtime = Runtime(gateway_service(), MemoryBus(operations.memory, "gateway"), MemoryStore())
        routes = internal_api.routes(self.runtime, settings=gateway_settings(), transport=operations.services)
        operations.services.apps["gateway"] = httpx.ASGITransport(create_app(self.runtime, routes))

    async def address(self, order_id: UUID) -> None:
        sealed = (await AddressSealing(self.runtime).for_writing(ADA)).seal(ADDRESS)
        submit = SubmitOrder(ADA, (), None, utc_now(), sealed_address=sealed)
        await execute(self.runtime, TIMELINES, str(order_id), submit)

    async def erase(self) -> None:
        await execute(self.runtime, ADDRESS_KEYS, str(ADA), UserErased(user_id=ADA))


@pytest.fixture
async def gateway(operations_app: OperationsApp) -> AsyncIterator[Gateway]:
    await operations_app.stocked()
    yield Gateway(operations_app)


async def test_order_and_picking_list_show_the_address(
    operations_app: OperationsApp, gateway: Gateway
) -> None:
    order_id = await operations_app.ordered()
    await gateway.address(order_id)
    for path in (f"/ops/orders/{order_id}", "/ops/stock"):
        page = await operations_app.page(path)
        assert SHOWN in page and "&gt;&lt;img src=x" in page and TRICK not in page


async def test_orders_of_client_programs_have_no_address_on_record(
    operations_app: OperationsApp, gateway: Gateway
) -> None:
    with_address, without = await operations_app.ordered(), await operations_app.ordered()
    await gateway.address(with_address)
    assert "No address on record" in await operations_app.page(f"/ops/orders/{without}")
    assert "No address on record" not in await operations_app.page(f"/ops/orders/{with_address}")
    picking = await operations_app.page("/ops/stock")
    assert picking.count(SHOWN) == 1 and picking.count("No address on record") == 1


async def test_an_erased_address_is_named_as_erased(operations_app: OperationsApp, gateway: Gateway) -> None:
    order_id = await operations_app.ordered()
    await gateway.address(order_id)
    await gateway.erase()
    for path in (f"/ops/orders/{order_id}", "/ops/stock"):
        page = await operations_app.page(path)
        assert "Erased with the customer" in page and SHOWN not in page


@pytest.mark.parametrize("away", ["away", "odd", "an earlier release"])
async def test_without_the_gateway_pages_show_an_unknown_address(
    operations_app: OperationsApp, gateway: Gateway, away: str
) -> None:
    order_id = await operations_app.ordered()
    await gateway.address(order_id)
    if away == "away":
        operations_app.services.away.add("gateway")
    elif away == "odd":
        operations_app.services.odd["gateway"] = b"<html>a proxy's page"
    else:
        earlier = create_app(gateway.runtime, None)
        operations_app.services.apps["gateway"] = httpx.ASGITransport(earlier)
    for path in (f"/ops/orders/{order_id}", "/ops/stock"):
        page = await operations_app.page(path)
        assert "Unknown: the gateway does not respond" in page and SHOWN not in page
        assert "KETTLE-BLUE" in page


def reads(operations_app: OperationsApp) -> list[AuditEntry]:
    return [entry for entry in operations_app.broker.entries if entry.action == "read"]


async def test_the_audit_log_has_each_reader_once_an_hour(
    operations_app: OperationsApp, gateway: Gateway
) -> None:
    order_id = await operations_app.ordered()
    await gateway.address(order_id)
    for ahead in (0, 10, 59):
        operations_app.ahead = timedelta(minutes=ahead)
        assert SHOWN in await operations_app.page(f"/ops/orders/{order_id}")
    [entry] = reads(operations_app)
    assert (entry.by, entry.type, entry.journey_id) == (str(ADA), "delivery address", str(order_id))
    assert entry.reason == f"order {order_id}" and SHOWN not in repr(operations_app.broker.entries)
    other = new_id()
    operations_app.http.headers["Authorization"] = f"Bearer {token(Role.STAFF, user_id=other)}"
    assert SHOWN in await operations_app.page(f"/ops/orders/{order_id}")
    assert [each.by for each in reads(operations_app)] == [str(ADA), str(other)]
    operations_app.http.headers["Authorization"] = f"Bearer {token(Role.STAFF)}"
    operations_app.ahead = timedelta(minutes=61)
    assert SHOWN in await operations_app.page(f"/ops/orders/{order_id}")
    assert [each.by for each in reads(operations_app)] == [str(ADA), str(other), str(ADA)]
    page = await operations_app.page("/ops/audit")
    assert page.count(f"order {order_id}") == 3 and SHOWN not in page


async def test_the_picking_list_is_one_entry_of_newly_read_orders(
    operations_app: OperationsApp, gateway: Gateway
) -> None:
    first, second, without = [await operations_app.ordered() for _ in range(3)]
    for order_id in (first, second):
        await gateway.address(order_id)
    await operations_app.page("/ops/stock")
    await operations_app.page("/ops/stock")
    await operations_app.page(f"/ops/orders/{first}")
    [entry] = reads(operations_app)
    assert set(entry.reason.removeprefix("orders ").split(", ")) == {str(first), str(second)}
    third = await operations_app.ordered()
    await gateway.address(third)
    await operations_app.page("/ops/stock")
    await operations_app.page(f"/ops/orders/{without}")
    assert [each.reason for each in reads(operations_app)[1:]] == [f"order {third}"]


async def test_two_views_at_once_are_one_entry(
    operations_app: OperationsApp, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await operations_app.ordered()
    await gateway.address(order_id)
    written = operations_app.broker.record_action

    async def slowly(entry: AuditEntry) -> None:
        await asyncio.sleep(0.1)
        await written(entry)

    monkeypatch.setattr(operations_app.broker, "record_action", slowly)
    await asyncio.gather(*(operations_app.page(f"/ops/orders/{order_id}") for _ in range(3)))
    assert len(reads(operations_app)) == 1


@pytest.mark.parametrize("away", ["away", "silent"])
async def test_without_the_audit_log_no_address_is_shown(
    operations_app: OperationsApp, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    """The rest of the page does not wait for the broker."""
    order_id = await operations_app.ordered()
    await gateway.address(order_id)
    never = asyncio.Event()
    written = operations_app.broker.record_action

    async def silent(entry: AuditEntry) -> None:
        await never.wait()

    monkeypatch.setattr(delivery, "_RECORD_S_MAX", 0.1)
    if away == "away":
        operations_app.broker.away = True
    else:
        monkeypatch.setattr(operations_app.broker, "record_action", silent)
    for path in (f"/ops/orders/{order_id}", "/ops/stock"):
        page = await operations_app.page(path)
        assert "Not shown: the audit log cannot be written" in page and SHOWN not in page
        assert "KETTLE-BLUE" in page
    operations_app.broker.away = False
    monkeypatch.setattr(operations_app.broker, "record_action", written)
    assert SHOWN not in await operations_app.page("/ops/stock"), "it is not tried again at once"
    operations_app.deps.deliveries._next_try = 0.0
    assert SHOWN in await operations_app.page("/ops/stock")
    assert len(reads(operations_app)) == 1


async def test_the_gateway_checks_the_token_of_the_staff_member(
    operations_app: OperationsApp, gateway: Gateway
) -> None:
    """It refuses one that operations accepts: the access version has changed since."""
    order_id = await operations_app.ordered()
    await gateway.address(order_id)
    operations_app.http.headers["Authorization"] = f"Bearer {token(Role.STAFF)}"
    assert SHOWN in await operations_app.page(f"/ops/orders/{order_id}")
    raised = httpx.Response(200, headers={"X-User-Id": str(ADA), "X-Access-Version": "1"})
    await AccessVersions(gateway.runtime).learn(raised)
    assert SHOWN not in await operations_app.page(f"/ops/orders/{order_id}")

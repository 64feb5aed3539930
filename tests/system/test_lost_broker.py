"""The broker loses everything under load: queues, journal, users.

What services have stored, and what was never confirmed to its sender, is published again.
"""

import asyncio

import httpx
import pytest

from contracts import orders
from contracts.catalog import NAMES
from journey.admin import paging
from journey.admin.registry import SERVICES
from journey.client import Client, NotSent
from journey.devenv.process_shop import ProcessShop
from tests.support.eventually import until
from tests.support.staff_load import REFUNDS
from tests.support.system_fixtures import OrderLoad
from tests.system.test_backfill import WAIT_S_MAX, journey

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(600)]


class PatientSender:
    """A client program that keeps each command until it knows of the order, and sends it again otherwise."""

    def __init__(self, order_load: OrderLoad) -> None:
        self._load = order_load
        self._system = order_load.system
        self.commands: list[orders.PlaceOrder] = []

    async def place(self, count: int) -> None:
        commands = [self._load.command() for _ in range(count)]
        self.commands += commands
        try:
            async with Client(self._system.endpoints.amqp_url(NAMES.client), listen=False) as client:
                await client.send(*commands)
        except NotSent:
            pass  # `place_unknown` sends them again

    async def place_unknown(self) -> int:
        """Returns how many orders order_svc did not know."""
        async with httpx.AsyncClient() as http:
            url = f"{self._system.endpoints.http['order_svc']}/orders"
            known = {order["order_id"] async for order in paging.pages(http, url)}
        unknown = [command for command in self.commands if str(command.order_id) not in known]
        if unknown:
            await self._system.send(NAMES.client, *unknown)
        return len(unknown)


async def test_a_lost_broker_loses_and_doubles_nothing(system: ProcessShop, order_load: OrderLoad) -> None:
    sender, staff = PatientSender(order_load), order_load.staff
    await sender.place(20)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    dispatched = order_load.of_status("confirmed")[:5]
    staff.take(dispatched, refunds=2)
    await staff.all_served(wait_s=WAIT_S_MAX)
    await sender.place(40)
    await system.stop("payment_svc")  # whose queues hold events when they are lost
    staff.take(dispatched, REFUNDS)
    await staff.serve()
    await sender.place(20)
    await until(lambda: len(order_load.expected) == 80)
    await asyncio.sleep(1)

    async with system.admin as admin:
        await admin.delete_vhost(system.endpoints.vhost)
    await system.apply_topology()
    system.start("payment_svc")
    await system.ready(list(SERVICES))
    output = await journey(system, "republish", "--since", "1h")
    assert "documents of order_svc" in output
    await sender.place_unknown()
    await staff.repeat()
    await staff.all_served(wait_s=WAIT_S_MAX)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    await order_load.one_mail_each(wait_s=WAIT_S_MAX)
    await staff.refunds_agree(wait_s=WAIT_S_MAX)
    await order_load.doctor_agrees()
    assert "same status in order_svc" in await journey(system, "replay", "--check")

"""Customers who keep ordering during all faults, and staff who refund parts of some orders."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from chassis.clock import utc_now
from chassis.messaging.envelope import OPERATOR
from contracts import orders
from journey.client import Client, NotSent
from journey.devenv.process_shop import ProcessShop
from tests.support.system_fixtures import OrderLoad

CHANGES_OF_MIND = 0.1
WAIT_S_MAX = 180.0
# Orders come in bursts, so that messages are often in flight at a fault.
BURST_S_MAX = 4.0


class Shoppers(OrderLoad):
    """Customers who order without end; some cancel a moment after ordering, confirmed or not."""

    def __init__(self, system: ProcessShop, customers: list[UUID], seed: int) -> None:
        super().__init__(system, customers, seed)
        self.placed: dict[UUID, datetime] = {}  # when the broker confirmed the order
        self.kept: list[UUID] = []  # by customers who do not cancel
        self.unsent = 0

    def client(self) -> Client:
        return Client(self.system.endpoints.amqp_url("client"), listen=False, patience_s=WAIT_S_MAX)

    @asynccontextmanager
    async def staff_at_work(self) -> AsyncIterator[None]:
        url = self.system.endpoints.amqp_url(OPERATOR)
        async with (
            Client(url, name=OPERATOR, listen=False, patience_s=WAIT_S_MAX) as client,
            self.staff.at_work(self.kept, client.send),
        ):
            yield

    async def keep_ordering(self, client: Client, per_second: float, enough: Callable[[], bool]) -> None:
        """Each order is a task: one that waits for the broker does not delay the others."""
        async with asyncio.TaskGroup() as under_way:
            clock = asyncio.get_running_loop().time
            began, begun = clock(), 0
            while not enough():
                while begun < (clock() - began) * per_second:
                    under_way.create_task(self._order(client))
                    begun += 1
                await asyncio.sleep(self.random.uniform(0, BURST_S_MAX))

    async def _order(self, client: Client) -> None:
        command = self.command()
        try:
            await client.send(command)
            self.placed[command.order_id] = utc_now()
            if self.random.random() < CHANGES_OF_MIND:
                await self._cancel(client, command)
            else:
                self.kept.append(command.order_id)
        except NotSent:  # the client got an error and may ask for the order's status; no outcome is expected
            del self.expected[command.order_id]
            self.placed.pop(command.order_id, None)
            self.unsent += 1

    async def _cancel(self, client: Client, order: orders.PlaceOrder) -> None:
        await asyncio.sleep(self.random.uniform(0, 2))
        await client.cancel(order.order_id, order.customer_id)
        self.expected[order.order_id] = "cancelled"

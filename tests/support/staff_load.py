"""Staff who dispatch orders and refund parts of them, also while the shop is in trouble."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from contracts import inventory, orders
from contracts.http.orders import OrderStatus, RefundStatus
from journey.admin.instances import responding
from journey.admin.ssl_context import tls
from journey.client import NotSent
from journey.devenv.catalogue import CATALOGUE
from journey.devenv.shop import Shop, message_ids
from tests.support import refund_checks
from tests.support.eventually import until
from tests.support.in_memory_doctor import World, read_world
from tests.support.refund_checks import RefundedOrder

Send = Callable[..., Awaitable[None]]
REFUNDS = 5  # at least one of them exceeds the total
_ONE_IN = 20
_ROUND_S = 0.5


class StaffLoad:
    """Staff look at an order, and send what it does not show yet: again and again, with the same ids.

    So a command that is lost with the broker is repeated. `expected`: the statuses of all orders of the load.
    It expects a new shop; in one where staff have worked before, call `take_stock` first.
    """

    def __init__(self, shop: Shop, expected: dict[UUID, str]) -> None:
        self._shop = shop
        self._expected = expected
        self._open: set[UUID] = set()
        self.orders: dict[UUID, RefundedOrder] = {}
        self.received = Counter({article.sku: article.pieces for article in CATALOGUE})

    def take(self, order_ids: Iterable[UUID], refunds: int = 0) -> None:
        """Have orders dispatched as soon as they are confirmed, and so many refunds of each made."""
        for order_id in order_ids:
            self._expected[order_id] = OrderStatus.DISPATCHED
            self.orders.setdefault(order_id, RefundedOrder()).wanted = refunds
            self._open.add(order_id)

    async def take_stock(self) -> None:
        """What the shelves have received so far, less what was written off."""
        self.received = Counter({shelf["sku"]: shelf["received"] for shelf in (await self._world()).shelves})

    async def receive(self, sku: str, quantity: int) -> None:
        self.received[sku] += quantity
        await self._send(inventory.ReceiveStock(receipt_id=new_id(), sku=sku, quantity=quantity))

    async def repeat(self) -> None:
        """Send all refunds again under their ids, as staff do who got no confirmation."""
        await self._send(*(refund for order in self.orders.values() for refund in order.done))

    async def serve(self, send: Send | None = None) -> list[str]:
        """One round. Returns what the orders do not show yet."""
        try:
            async with httpx.AsyncClient(timeout=20, verify=tls()) as http:
                address = (await responding(http, self._shop.endpoints.http))["order_svc"]
                found = await asyncio.gather(*(self._look(http, address, each) for each in self._open))
            commands = [command for due, _ in found for command in due]
            if commands:
                await (send or self._send)(*commands)
        except (httpx.HTTPError, NotSent) as error:
            return [f"staff cannot work: {type(error).__name__} {error}"]
        return [sentence for _, lacking in found for sentence in lacking]

    async def all_served(self, wait_s: float) -> None:
        """Each order is dispatched, and shows each of its refunds as done or refused."""
        await until(self.serve, lambda lacking: not lacking, within_s=wait_s)

    async def refunds_agree(self, wait_s: float, *, copies_max: int = 1) -> None:
        """Each refund counts once: in its order, at the card provider, in the stock, and by a mail."""
        await until(
            lambda: self.disagreements(copies_max=copies_max), lambda found: not found, within_s=wait_s
        )

    async def disagreements(self, world: World | None = None, *, copies_max: int = 1) -> list[str]:
        """`world`: what all services store; by default it is read now."""
        world = world or await self._world()
        mails = await message_ids(self._shop)
        found = [
            *refund_checks.of_ledger(world),
            *refund_checks.of_shelves(world, self.received, self.orders.values()),
        ]
        for order_id, order in self.orders.items():
            found += refund_checks.of_order(world, order_id, order)
            found += refund_checks.of_mails(mails, order_id, order, copies_max=copies_max)
        return found

    @asynccontextmanager
    async def at_work(
        self, among: Collection[UUID] | None = None, send: Send | None = None
    ) -> AsyncIterator[None]:
        """Until the block ends, some of the orders that are to be confirmed are dispatched and refunded.

        `among`: by default all orders of the load.
        """
        enough = asyncio.Event()
        working = asyncio.create_task(self._work(self._expected if among is None else among, send, enough))
        try:
            yield
        finally:
            enough.set()
            await working

    async def _work(self, among: Collection[UUID], send: Send | None, enough: asyncio.Event) -> None:
        while not enough.is_set():
            chosen = [each for each in list(among)[::_ONE_IN] if self._expected[each] == "confirmed"]
            self.take(chosen, REFUNDS)
            await self.serve(send)
            await asyncio.sleep(_ROUND_S)

    async def _world(self) -> World:
        async with httpx.AsyncClient(timeout=60, verify=tls()) as http:
            return await read_world(http, await responding(http, self._shop.endpoints.http))

    async def _send(self, *commands: Command) -> None:
        await self._shop.send(OPERATOR, *commands)

    async def _look(
        self, http: httpx.AsyncClient, address: str, order_id: UUID
    ) -> tuple[list[Command], list[str]]:
        """What to send about an order, and what it does not show yet."""
        response = await http.get(f"{address}/orders/{order_id}")
        if response.status_code == 404:
            return [], [f"order {order_id} is unknown"]
        shown: dict[str, Any] = response.raise_for_status().json()
        if shown["status"] != OrderStatus.DISPATCHED:
            is_ready = shown["status"] == OrderStatus.CONFIRMED
            commands = [orders.DispatchOrder(order_id=order_id)] if is_ready else []
            return [*commands], [f"order {order_id} is {shown['status']}"]
        order = self.orders[order_id]
        order.plan(shown)
        statuses = {UUID(refund["refund_id"]): refund["status"] for refund in shown["refunds"]}
        lacking = [
            f"order {order_id}, refund {each}: {statuses.get(each, 'unknown')}, expected {status}"
            for each, status in order.expected.items()
            if statuses.get(each) != status
        ]
        if not lacking:
            self._open.discard(order_id)
        # A refund beyond the total is refused for sure only after all others are done.
        all_done = all(statuses.get(refund.refund_id) == RefundStatus.DONE for refund in order.done)
        due = [*order.done, *(order.refused if all_done else ())]
        return [refund for refund in due if refund.refund_id not in statuses], lacking

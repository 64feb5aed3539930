"""The whole shop as real processes, with its own virtual host and databases."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from chassis.bus.protocol import BusUnavailable
from chassis.messaging.identity import derived_id, new_id
from contracts import orders
from contracts.catalog import NAMES
from contracts.notifications import MailKind
from contracts.values import OrderLine
from journey.admin import paging
from journey.admin.diagnosis import doctor
from journey.admin.instances import responding
from journey.admin.ssl_context import tls
from journey.client import Client
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import message_ids, register, seed
from notification_svc.service import EFFECTS_MAX
from tests.support.eventually import until
from tests.support.infrastructure import fresh_system
from tests.support.staff_load import StaffLoad

SKUS = ("KETTLE-BLUE", "TEA-GREEN", "TEA-BLACK", "CUP-WHITE", "LAMP-DESK", "CLOCK-WALL")

CONNECTED_S_MAX = 120.0
LAST_MAIL = {
    "confirmed": MailKind.ORDER_CONFIRMED,
    "dispatched": MailKind.ORDER_DISPATCHED,
    "cancelled": MailKind.ORDER_CANCELLED,
}


def last_mail(order_id: UUID, status: str) -> str:
    """The Message-ID, without its domain, of the mail about how an order with this status ended."""
    return derived_id("mail", order_id, LAST_MAIL[status])


class OrderLoad:
    """Customers who place many orders at once: most are confirmed, some declined, some out of stock."""

    def __init__(self, system: ProcessShop, customers: list[UUID], seed: int) -> None:
        self.system = system
        self.customers = customers
        self.random = random.Random(seed)
        self.expected: dict[UUID, str] = {}
        self.staff = StaffLoad(system, self.expected)

    def of_status(self, status: str) -> list[UUID]:
        return [order_id for order_id, expected in self.expected.items() if expected == status]

    async def place(self, count: int) -> None:
        commands = [self.command() for _ in range(count)]
        await self.system.send("client", *commands)

    async def place_over_time(self, count: int, pause_s: float, until: Callable[[], bool]) -> None:
        """A few at a time, until all are placed and `until` returns True."""
        placed = 0
        async with AsyncExitStack() as stack:
            client = await self._connected(stack)
            while placed < count or not until():
                await client.send(*(self.command() for _ in range(2)))
                placed += 2
                await asyncio.sleep(pause_s)

    async def _connected(self, stack: AsyncExitStack) -> Client:
        """A client that is closed with the stack. A busy broker may need several attempts."""

        async def attempt() -> Client | None:
            client = Client(self.system.endpoints.amqp_url(NAMES.client), listen=False)
            try:
                return await stack.enter_async_context(client)
            except BusUnavailable:
                return None

        client = await until(attempt, within_s=CONNECTED_S_MAX)
        assert client is not None
        return client

    def command(self) -> orders.PlaceOrder:
        kind = self.random.random()
        skus = self.random.sample(SKUS, k=self.random.randint(1, 3))
        card, status = "tok_visa", "confirmed"
        if kind < 0.1:
            card, status = "tok_declined", "cancelled"
        elif kind < 0.2:
            skus.append("SAMOVAR-RARE")
            status = "cancelled"
        order_id = new_id()
        self.expected[order_id] = status
        lines = tuple(OrderLine(sku=sku, quantity=self.random.randint(1, 3)) for sku in skus)
        return orders.PlaceOrder(
            order_id=order_id, customer_id=self.random.choice(self.customers), lines=lines, card_token=card
        )

    async def all_end_as_expected(self, wait_s: float) -> None:
        """Every order gets the status that its card and its goods lead to."""
        async with httpx.AsyncClient(timeout=60, verify=tls()) as http:
            await until(lambda: self._wrong(http), lambda wrong: not wrong, within_s=wait_s)

    async def one_mail_each(self, wait_s: float, *, copies_max: int = 1) -> int:
        """Each confirmed or dispatched order has its last mail. Returns the number of additional copies."""
        counts = await until(lambda: self._mailed(copies_max), lambda counts: not counts[0], within_s=wait_s)
        return sum((copies - 1) * number for copies, number in counts.items())

    async def doctor_agrees(self, wait_s: float = 120.0) -> None:
        async with httpx.AsyncClient(timeout=60, verify=tls()) as http:
            addresses = await responding(http, self.system.endpoints.http)
            findings = await doctor.settled(http, addresses, self.system.dead, wait_s=wait_s)
        broken = {finding.promise: finding.broken[:5] for finding in findings if not finding.holds}
        assert not broken

    async def _mailed(self, copies_max: int) -> Counter[int]:
        """Number of mail copies -> number of confirmed or dispatched orders with so many."""
        found = await message_ids(self.system)
        counts = Counter(
            found[last_mail(order_id, status)]
            for order_id, status in self.expected.items()
            if status in ("confirmed", "dispatched")
        )
        assert max(counts) <= copies_max, f"copies of a mail -> orders: {dict(counts)}"
        return counts

    async def _wrong(self, http: httpx.AsyncClient) -> Counter[str]:
        """Status -> number of orders that should have another status."""
        now = await self._statuses(http)
        return Counter(
            now.get(id_, "unknown") for id_, status in self.expected.items() if now.get(id_) != status
        )

    async def _statuses(self, http: httpx.AsyncClient) -> dict[UUID, str]:
        try:
            addresses = await responding(http, self.system.endpoints.http)
            items = paging.pages(http, f"{addresses['order_svc']}/orders")
            return {UUID(item["order_id"]): item["status"] async for item in items}
        except httpx.HTTPError:
            return {}


@asynccontextmanager
async def placing(order_load: OrderLoad, count: int = 60, pause_s: float = 0.2) -> AsyncIterator[None]:
    """Orders are placed until the block ends, and at least `count` of them. An error ends them as well."""
    enough = asyncio.Event()
    load = asyncio.create_task(order_load.place_over_time(count, pause_s=pause_s, until=enough.is_set))
    try:
        yield
    finally:
        enough.set()
        await load


@asynccontextmanager
async def under_load(
    order_load: OrderLoad,
    count: int = 60,
    pause_s: float = 0.2,
    *,
    wait_s: float = 300.0,
    mailers_killed: int = 0,
) -> AsyncIterator[None]:
    """Like `placing`, and staff refund parts of some orders.

    Then each order ends as it should and has one mail, each refund counts once, and nothing is a dead letter.
    `mailers_killed`: how many instances of notification_svc the block kills. Each may have handed over some
    mails that it has not recorded; these are sent again.
    """
    async with placing(order_load, count, pause_s), order_load.staff.at_work():
        yield
    await order_load.staff.all_served(wait_s=wait_s)
    await order_load.all_end_as_expected(wait_s=wait_s)
    copies_max = 1 + mailers_killed
    again = await order_load.one_mail_each(wait_s=wait_s, copies_max=copies_max)
    assert again <= mailers_killed * EFFECTS_MAX
    await order_load.staff.refunds_agree(wait_s=wait_s, copies_max=copies_max)
    await order_load.doctor_agrees()
    print(f"{len(order_load.expected)} orders and {len(order_load.staff.orders)} refunded ones ended well")


@pytest.fixture
async def system(
    real_infrastructure: Infrastructure, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[ProcessShop]:
    """Set `settings` and the retry ladder's scale with `@pytest.mark.parametrize("system", …,
    indirect=True)`.
    """
    options = getattr(request, "param", {})
    async with _running(real_infrastructure, tmp_path, **options) as started:
        yield started


@asynccontextmanager
async def _running(
    infrastructure: Infrastructure,
    state_dir: Path,
    delay_scale: float = 0.05,
    cold: bool = False,
    **settings: str,
) -> AsyncIterator[ProcessShop]:
    async with fresh_system(infrastructure, state_dir, delay_scale, settings, cold=cold) as system:
        await system.up(lambda text: None)
        await seed(system)
        yield system


@pytest.fixture
async def order_load(system: ProcessShop) -> OrderLoad:
    seed_ = random.randrange(10**6)
    print(f"seed of the crowd: {seed_}")
    return OrderLoad(system, await register(system, ["Ada", "Grace", "Edsger"]), seed_)

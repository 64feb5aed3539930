"""`journey demo`: an order over HTTP, then every possible outcome of an order,
and an outage of notification_svc.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from contracts import orders
from contracts.catalog import NAMES
from contracts.notifications import MailSent
from contracts.values import OrderLine
from journey.admin import instances
from journey.admin.diagnosis import doctor
from journey.admin.diagnosis.journey_history import JourneyHistory, fetch
from journey.admin.diagnosis.promises import Finding
from journey.admin.endpoints import GATEWAY, ShopEndpoints
from journey.cli.watch import watch
from journey.devenv.demo_customer import DemoCustomer
from journey.devenv.demo_users import DemoUsers, ensure
from journey.devenv.shop import Shop, copies_in_mailbox, register, seed

DEADLINE_S = 12.0
CLIENTS_DOC = "docs/clients.md"
_WAIT_S = 120.0
_SHOWN = 5
_ORDERS_WITHOUT_MAIL = 5

Scene = Callable[["Demo"], Awaitable[None]]


class NotAsPromised(Exception):
    """The expected state, and the one that was observed."""


class Demo:
    """One run. The scenes are the functions below, in the order of SCENES."""

    def __init__(
        self, shop: Shop, console: Console, http: httpx.AsyncClient, people: DemoUsers, grace: UUID
    ) -> None:
        self.shop = shop
        self.console = console
        self.http = http
        self.people = people
        self.ada = people.customer.user_id
        self.grace = grace

    async def addresses(self) -> dict[str, str]:
        return await instances.responding(self.http, self.shop.endpoints.http)

    async def place(
        self, card_token: str = "tok_visa", *, customer: UUID | None = None, **pieces: int
    ) -> UUID:
        lines = tuple(
            OrderLine(sku=sku.replace("_", "-"), quantity=quantity) for sku, quantity in pieces.items()
        )
        order_id = new_id()
        command = orders.PlaceOrder(
            order_id=order_id, customer_id=customer or self.ada, lines=lines, card_token=card_token
        )
        await self.shop.send(NAMES.client, command)
        return order_id

    async def cancel(self, order_id: UUID) -> None:
        await self.shop.send(NAMES.client, orders.CancelOrder(order_id=order_id, customer_id=self.ada))

    async def until(
        self, what: str, order_id: UUID, holds: Callable[[JourneyHistory], bool]
    ) -> JourneyHistory:
        """Poll the journey's history until the condition holds; raises NotAsPromised after `_WAIT_S`."""
        end = asyncio.get_running_loop().time() + _WAIT_S
        while True:
            history = await fetch(self.http, await self.addresses(), str(order_id))
            if holds(history):
                return history
            if asyncio.get_running_loop().time() > end:
                raise NotAsPromised(
                    f"{what}: order {order_id} is {history.status('orders') or 'unknown'} instead"
                )
            await asyncio.sleep(0.1)

    async def ended(
        self, order_id: UUID, status: str, payment: str = "", stock: str = "", emitted: str = ""
    ) -> None:
        """Wait until the order, its payment and its goods have these statuses, then print the history."""

        def holds(history: JourneyHistory) -> bool:
            return (
                history.status("orders") == status
                and payment in ("", history.status("payments"))
                and stock in ("", history.status("reservations"))
                and (not emitted or emitted in history.emitted_types())
            )

        await self.until(f"expected: {status} {payment} {stock}", order_id, holds)
        await watch(self.shop.endpoints, str(order_id), self.console, wait_s=_WAIT_S)

    async def mails_about(self, order_ids: list[UUID]) -> list[int]:
        """How many copies of each order's confirmation mail are in the mailbox."""
        copies = await copies_in_mailbox(self.shop)
        return [copies(order_id) for order_id in order_ids]


async def at_checkout(demo: Demo) -> None:
    """Ada logs in at the gateway, orders over HTTP, and follows her order live until it is at rest"""
    url = demo.shop.endpoints.shop_url
    try:
        async with asyncio.timeout(_WAIT_S):
            ada = await DemoCustomer.logged_in(demo.http, url, demo.people.customer)
            order_id = await ada.place({"CUP-WHITE": 2}, "tok_visa")
            demo.console.print(f"  202, and {url}/orders/{order_id} streams:")
            async for news in ada.follow(order_id):
                demo.console.print(f"  {news['seq']:>3}  {news['sentence']}  [dim]{news['status']}")
    except (TimeoutError, httpx.HTTPError) as error:
        raise NotAsPromised(
            f"expected: live updates from {url} until the order is at rest; got {error!r}"
        ) from error
    await demo.ended(order_id, "confirmed", "captured", "committed", emitted=MailSent.TYPE)


async def confirmed(demo: Demo) -> None:
    """An order is confirmed, paid, committed, and its mail is sent"""
    order_id = await demo.place(KETTLE_BLUE=1, TEA_GREEN=2)
    await demo.ended(order_id, "confirmed", "captured", "committed", emitted=MailSent.TYPE)


async def out_of_stock(demo: Demo) -> None:
    """Three lines, one of them out of stock: nothing is reserved, nothing is charged"""
    order_id = await demo.place(TEA_BLACK=1, CUP_WHITE=2, SAMOVAR_RARE=1)
    await demo.ended(order_id, "cancelled", "dropped", "rejected")


async def declined(demo: Demo) -> None:
    """The card is declined: the reserved goods are released"""
    order_id = await demo.place("tok_declined", TEA_BLACK=3)
    await demo.ended(order_id, "cancelled", "declined", "released")


async def cancelled_under_way(demo: Demo) -> None:
    """The customer cancels while the authorization is pending: the authorization is voided"""
    order_id = await demo.place("tok_slow", LAMP_DESK=1)
    await demo.until("expected: authorizing", order_id, lambda t: t.status("payments") == "authorizing")
    await demo.cancel(order_id)
    await demo.ended(order_id, "cancelled", "voided", "released")


async def cancelled_after_confirmation(demo: Demo) -> None:
    """The customer cancels a confirmed order: refunded, restocked, and notified by mail"""
    order_id = await demo.place(CLOCK_WALL=1)
    await demo.until("expected: captured", order_id, lambda t: t.status("payments") == "captured")
    await demo.cancel(order_id)
    await demo.ended(order_id, "cancelled", "refunded", "released")


async def deadline(demo: Demo) -> None:
    """payment_svc is stopped: the order is cancelled at its deadline; after a restart,
    payment_svc charges nothing
    """
    await demo.shop.stop("payment_svc")
    order_id = await demo.place(CUP_WHITE=1)
    await demo.until("expected: cancelled", order_id, lambda t: t.status("orders") == "cancelled")
    demo.shop.start("payment_svc")
    await demo.shop.ready(["payment_svc"])
    await demo.ended(order_id, "cancelled", "voided", "released")


async def without_notification(demo: Demo) -> None:
    """notification_svc is stopped: orders continue; after a restart it sends each mail once"""
    await demo.shop.stop("notification_svc")
    order_ids = [await demo.place(customer=demo.grace, TEA_GREEN=1) for _ in range(_ORDERS_WITHOUT_MAIL)]
    for order_id in order_ids:
        await demo.until("expected: captured", order_id, lambda t: t.status("payments") == "captured")
    demo.console.print(
        f"  {len(order_ids)} orders confirmed and paid, no mail sent: {demo.shop.endpoints.mailbox_url}"
    )
    if any(await demo.mails_about(order_ids)):
        raise NotAsPromised("expected: no mail yet")
    demo.shop.start("notification_svc")
    await demo.shop.ready(["notification_svc"])
    for order_id in order_ids:
        await demo.until("expected: mail sent", order_id, lambda t: MailSent.TYPE in t.emitted_types())
    counts = await demo.mails_about(order_ids)
    if set(counts) != {1}:
        raise NotAsPromised(f"expected: one mail each; the mailbox contains {counts}")
    demo.console.print(f"  notification_svc is back: {len(counts)} mails, one each")


SCENES: list[Scene] = [
    at_checkout,
    confirmed,
    out_of_stock,
    declined,
    cancelled_under_way,
    cancelled_after_confirmation,
    deadline,
    without_notification,
]


async def run(shop: Shop, console: Console) -> bool:
    """Play all scenes and run the doctor; True if every check passed."""
    verdicts: list[tuple[str, str]] = []
    async with httpx.AsyncClient(timeout=10) as http:
        async with _progress(console, "seeding the catalogue, the stock, two accounts and another customer"):
            await seed(shop)
            people = await ensure(shop)
            [grace] = await register(shop, ["Grace"])
        demo = Demo(shop, console, http, people, grace)
        show_addresses(shop.endpoints, people, console)
        for number, scene in enumerate(SCENES, start=1):
            console.print(f"\n[bold]{number}. {scene.__doc__}")
            try:
                await scene(demo)
                verdicts.append((str(scene.__doc__), ""))
            except NotAsPromised as error:
                console.print(f"[bold red]failed: {error}")
                verdicts.append((str(scene.__doc__), str(error)))
        console.print("\n[bold]The doctor checks all services")
        findings = await doctor.settled(http, await demo.addresses(), shop.dead, wait_s=_WAIT_S)
    show_findings(findings, console)
    for what, problem in verdicts:
        console.print(f"[{'red' if problem else 'green'}]{'✗' if problem else '✓'}[/] {what}")
    return all(finding.holds for finding in findings) and not any(problem for _, problem in verdicts)


def show_findings(findings: list[Finding], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        outcome = "[green]holds" if finding.holds else "[bold red]broken"
        shown = [
            *finding.broken[:_SHOWN],
            *([f"and {more:,} more"] if (more := finding.count - _SHOWN) > 0 else []),
        ]
        shown += [f"[dim]{finding.left_out}"] if finding.left_out else []
        table.add_row(outcome, finding.promise, "\n".join(shown))
    console.print(table)


def early_line(promise: str, sentence: str) -> Text:
    """A result that is reported before the end of the audit."""
    text = Text("so far ", style="dim").append(
        "broken" if sentence else "holds", style="red" if sentence else "green"
    )
    return text.append(f": {promise}" + (f": {sentence}" if sentence else ""))


def show_addresses(endpoints: ShopEndpoints, people: DemoUsers, console: Console) -> None:
    """One line each, unwrapped: a narrow terminal must not truncate a password."""
    customer, staff = people.customer, people.staff
    in_memory = endpoints.kind == "memory"
    rows = [
        ("the shop", f"{endpoints.shop_url}   log in as {customer.email}, password {customer.password}"),
        (
            "operations",
            f"{endpoints.shop_url}/ops   log in there as {staff.email}, password {staff.password}",
        ),
        ("mailbox", endpoints.mailbox_url),
        (
            "RabbitMQ",
            f"{endpoints.rabbitmq_ui}   user {OPERATOR}, password {endpoints.passwords.get(OPERATOR)}",
        ),
        ("programs", f"`journey client add NAME` prints the credentials of a client program ({CLIENTS_DOC})"),
        *((name, url) for name, url in endpoints.public.items() if name != GATEWAY),
        *((name, endpoints.http[name]) for name in instances.of_services(endpoints.http)),
    ]
    console.print("\n[bold]Where everything is")
    for name, where in rows:
        gone = in_memory and name in ("operations", "RabbitMQ", "programs")
        console.print(f"  {name:<17} {'not available in memory' if gone else where}", soft_wrap=True)


@asynccontextmanager
async def _progress(console: Console, what: str) -> AsyncIterator[None]:
    with console.status(what):
        yield
    console.print(f"[green]✓[/] {what}")

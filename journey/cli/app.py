"""`journey`: start the shop, place orders, watch their messages, diagnose problems."""

import signal
import sys
import threading
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import httpx
import typer
from rich.text import Text

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from contracts import orders
from contracts.catalog import NAMES
from journey.admin.broker import notices
from journey.admin.broker.management import BrokerAdmin
from journey.admin.diagnosis import doctor as doctor_
from journey.admin.diagnosis.stuck_search import RECENT
from journey.admin.endpoints import ShopEndpoints, recorded
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import responding
from journey.admin.ssl_context import tls
from journey.cli import demo as demo_
from journey.cli.arguments import checked, order_line
from journey.cli.attention import attention_app, refund_app
from journey.cli.backup import backup_app
from journey.cli.benchmarks import bench_app
from journey.cli.client import client_app
from journey.cli.console import (
    MISUSED,
    NOT_AS_PROMISED,
    UsageError,
    console,
    log,
    run,
    shop_endpoints,
    state_dir,
)
from journey.cli.database import database_app
from journey.cli.diagnose import explain_app
from journey.cli.dlq import dlq_app
from journey.cli.event_log import journal_app
from journey.cli.orders import orders_app
from journey.cli.progress import EarlyResults, ProgressLine
from journey.cli.scale import scale_app
from journey.cli.sending import send_command
from journey.cli.staff import staff_app
from journey.cli.stock import stock_app
from journey.cli.topology import topology_app
from journey.cli.watch import watch as watch_
from journey.devenv.demo_users import ensure, people
from journey.devenv.infra import resolve
from journey.devenv.launcher import running_shop, start_shop, stop_shop
from journey.devenv.shop import register, seed

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
app.add_typer(topology_app, name="topology")
app.add_typer(database_app, name="database")
app.add_typer(dlq_app, name="dlq")
app.add_typer(staff_app, name="staff")
app.add_typer(client_app, name="client")
app.add_typer(explain_app)
app.add_typer(journal_app)
app.add_typer(backup_app)
app.add_typer(scale_app)
app.add_typer(bench_app)
app.add_typer(stock_app)
app.add_typer(attention_app)
app.add_typer(orders_app)
app.add_typer(refund_app)


@app.command()
def up() -> None:
    """Start infrastructure and all services, seed the shop, print the addresses.

    Running processes are kept.
    """

    async def go() -> None:
        shop = await start_shop(state_dir(), log)
        with console.status("seeding the catalogue, the stock and two accounts"):
            await seed(shop)
            # a demo password was changed; the shop works without it
            try:
                await ensure(shop)
            except InfrastructureUnavailable as error:
                console.print(f"[yellow]{error}")
        console.print("[green]✓[/] the shop is running")
        demo_.show_addresses(shop.endpoints, people(shop.endpoints), console)
        console.print("  next: `journey place TEA-GREEN=2 --watch`, `journey doctor`, `journey down`")

    run(go())


@app.command()
def down() -> None:
    """Stop everything that `journey up` started. The data is kept."""
    run(stop_shop(state_dir(), log))


@app.command("seed")
def seed_() -> None:
    """Seed the catalogue and the stock. Running it again changes nothing."""

    async def go() -> None:
        await seed(await running_shop(state_dir()))
        console.print("[green]✓[/] catalogue and stock are seeded; see `journey stock`")

    run(go())


@app.command()
def demo(keep: Annotated[bool, typer.Option(help="leave the shop running afterwards")] = False) -> None:
    """Start the shop, run an order to every possible outcome, run the doctor, stop the shop."""

    async def go() -> bool:
        was_up = recorded(state_dir()) is not None
        shop = await start_shop(state_dir(), log, deadline_s=demo_.DEADLINE_S, allow_memory=True)
        try:
            return await demo_.run(shop, console)
        finally:
            # the in-memory shop ends with this process
            if (keep or was_up) and shop.endpoints.kind != "memory":
                await shop.set("order_svc")
                demo_.show_addresses(shop.endpoints, people(shop.endpoints), console)
            else:
                await shop.down(log)
                await resolve.release(state_dir(), log)
                console.print("  `make up` starts the shop and leaves it running")

    if not run(go()):
        console.print("[bold red]some checks failed")
        raise typer.Exit(NOT_AS_PROMISED)
    console.print("[bold green]all checks passed")


@app.command("place")
def place_(
    lines: Annotated[list[str], typer.Argument(help="SKU=QUANTITY, e.g. TEA-GREEN=2", metavar="LINE...")],
    card: Annotated[
        str, typer.Option(help="card token; tok_declined, tok_no_funds, tok_slow … simulate failures")
    ] = "tok_visa",
    customer: Annotated[
        UUID | None, typer.Option(help="customer id; by default a new customer is registered")
    ] = None,
    order: Annotated[
        UUID | None, typer.Option(help="order id; sending the same id twice places one order")
    ] = None,
    watch: Annotated[bool, typer.Option(help="watch its messages")] = False,
) -> None:
    """Place an order and print its id."""

    async def go() -> None:
        wanted = tuple(order_line(text) for text in lines)
        order_id, shop = order or new_id(), await running_shop(state_dir())
        who = customer or (await register(shop, ["Customer"]))[0]
        command = orders.PlaceOrder(order_id=order_id, customer_id=who, lines=wanted, card_token=card)
        # before it is sent, so that an order without a confirmation can be repeated under its id
        typer.echo(f"{order_id}")
        console.print(
            f"[dim]customer {who}; `journey watch {order_id}`, `journey cancel {order_id} --customer {who}`; "
            f"without a confirmation, repeat the command with --order {order_id} --customer {who}"
        )
        await shop.send(NAMES.client, command)
        console.print(f"[green]✓[/] the broker confirmed {command.TYPE}")
        if watch:
            await watch_(shop.endpoints, str(order_id), console)

    run(go())


@app.command()
def cancel(order: UUID, customer: Annotated[UUID, typer.Option(help="customer id of the order")]) -> None:
    """Cancel an order that has not been dispatched yet."""
    run(send_command(NAMES.client, orders.CancelOrder(order_id=order, customer_id=customer)))


@app.command()
def dispatch(
    order: UUID,
    tracking: Annotated[
        str, typer.Option(help="the carrier's tracking reference; also for an order dispatched before")
    ] = "",
) -> None:
    """Dispatch the parcel of a confirmed order, as the warehouse does."""
    commands: list[Command] = [orders.DispatchOrder(order_id=order)]
    if tracking:
        # before the dispatch, so that the mail about the dispatch contains the reference
        commands.insert(0, checked(orders.RecordTracking, order_id=order, tracking=tracking))

    async def go() -> None:
        for command in commands:
            await send_command(OPERATOR, command)

    run(go())


@app.command("watch")
def watch_order(
    order: UUID,
    wait_s: Annotated[float, typer.Option(help="seconds to wait until the order is at rest")] = 60.0,
) -> None:
    """Show every message of an order's journey: time, service, status change, and the messages it caused."""
    if not run(watch_(shop_endpoints(), str(order), console, wait_s=wait_s)):
        raise typer.Exit(NOT_AS_PROMISED)


@app.command()
def doctor(
    wait_s: Annotated[float, typer.Option(help="seconds to wait for messages in flight")] = 5.0,
    recent: Annotated[
        bool,
        typer.Option("--recent", help="check only orders that are not at rest or changed in the last hour"),
    ] = False,
) -> None:
    """Check the invariants across all services. The exit code is 1 if one is violated."""

    async def go() -> bool:
        shop = await running_shop(state_dir())
        since = datetime.now(UTC) - RECENT if recent else None
        async with httpx.AsyncClient(verify=tls()) as http:
            with ProgressLine(console, "comparing orders") as progress, EarlyResults(console) as early:
                findings = await doctor_.settled(
                    http,
                    await responding(http, shop.endpoints.http),
                    shop.dead,
                    wait_s=wait_s,
                    alarms=lambda: broker_alarms(shop.endpoints),
                    since=since,
                    on_progress=lambda audit: progress.report(
                        f"{audit.orders:,} so far, {audit.broken:,} violations"
                    ),
                    on_early=lambda promise, sentence: early.report(demo_.early_line(promise, sentence)),
                )
        demo_.show_findings(findings, console)
        for notice in await notices.of(shop.endpoints):
            console.print(Text(notice, style="yellow"))
        return all(finding.holds for finding in findings)

    if not run(go()):
        raise typer.Exit(NOT_AS_PROMISED)


async def broker_alarms(endpoints: ShopEndpoints) -> list[str]:
    async with BrokerAdmin(endpoints.management_url) as admin:
        return await admin.alarms()


def main() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up on SIGTERM as on Ctrl-C
    try:
        app()
    except UsageError as error:
        console.print(f"[bold red]{error}")
        sys.exit(MISUSED)


if __name__ == "__main__":
    main()

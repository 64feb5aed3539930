"""`journey topology`: export the topology, compare the broker with it, apply it."""

import json
from typing import Annotated

import typer

from chassis.messaging.envelope import OPERATOR
from journey.admin.broker.definitions import objects
from journey.admin.broker.management import BrokerAdmin
from journey.admin.broker.removal import Removal, Surplus, find_surplus
from journey.admin.registry import shop_topology
from journey.cli.console import NOT_AS_PROMISED, UsageError, console, run, state_dir
from journey.cli.progress import ProgressLine
from journey.devenv.launcher import running_shop

WAIT_S = 900.0  # longer than the longest rung of the retry ladder

topology_app = typer.Typer(no_args_is_help=True, help="The broker's exchanges, queues, policies and users.")


@topology_app.command("export")
def topology_export(vhost: Annotated[str, typer.Option(help="virtual host")] = "journey") -> None:
    """Print RabbitMQ definitions, without users: they would contain password hashes."""
    typer.echo(json.dumps({"vhosts": [{"name": vhost}], **objects(shop_topology(), vhost)}, indent=2))


@topology_app.command("plan")
def topology_plan() -> None:
    """Print where the broker differs from what the services need; exit code 1 if it does."""

    async def go() -> tuple[list[str], Surplus]:
        shop = await running_shop(state_dir())
        drift: list[str] = await shop.topology_plan()
        async with BrokerAdmin(shop.endpoints.management_url) as admin:
            return drift, await find_surplus(admin, shop_topology(), shop.endpoints.vhost)

    drift, surplus = run(go())
    for sentence in drift:
        console.print(f"[yellow]{sentence}")
    if drift:
        console.print("  what to do: run `journey topology apply`; extra objects stay")
        if surplus:
            console.print("  when no older release runs, `journey topology apply --remove` does this:")
            for step in surplus.steps():
                console.print(f"    {step}")
        raise typer.Exit(NOT_AS_PROMISED)
    console.print("[green]✓[/] the broker matches the topology")


@topology_app.command("apply")
def topology_apply(
    remove: Annotated[
        bool, typer.Option(help="also remove what is extra, if it is empty and unused")
    ] = False,
    drain: Annotated[bool, typer.Option(help="with --remove: wait until it is empty and unused")] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="with --remove: leave names that begin with this, of another system"),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="with --drain: seconds to wait at most")] = WAIT_S,
) -> None:
    """Apply the topology to the broker. No message is lost, and without --remove nothing is deleted."""

    async def go() -> list[str]:
        if drain and not remove:
            raise UsageError("--drain waits for what is to be removed; write `--remove --drain`")
        shop = await running_shop(state_dir())
        await shop.apply_topology()
        if not remove:
            return []
        endpoints = shop.endpoints
        async with BrokerAdmin(endpoints.management_url) as admin:
            removal = Removal(admin, shop_topology(), endpoints.vhost, endpoints.amqp_url(OPERATOR))
            removal.keep = tuple(keep or ())
            with ProgressLine(console, "draining") as progress:
                return await removal.run(drain_s=wait if drain else 0.0, report=progress.report)

    left = run(go())
    console.print("[green]✓[/] applied")
    for sentence in left:
        console.print(f"[yellow]{sentence}")
    if left:
        console.print(
            "  what to do: let the older release's instances finish and stop; "
            "`journey topology apply --remove --drain` waits for it"
        )
        raise typer.Exit(NOT_AS_PROMISED)

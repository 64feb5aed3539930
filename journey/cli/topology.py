"""`journey topology`: export the topology, compare the broker with it, apply it."""

import json
from typing import Annotated

import typer

from journey.admin.broker.definitions import objects
from journey.admin.registry import shop_topology
from journey.cli.console import NOT_AS_PROMISED, console, run, state_dir
from journey.devenv.launcher import running_shop

topology_app = typer.Typer(no_args_is_help=True, help="The broker's exchanges, queues, policies and users.")


@topology_app.command("export")
def topology_export(vhost: Annotated[str, typer.Option(help="virtual host")] = "journey") -> None:
    """Print RabbitMQ definitions, without users: they would contain password hashes."""
    typer.echo(json.dumps({"vhosts": [{"name": vhost}], **objects(shop_topology(), vhost)}, indent=2))


@topology_app.command("plan")
def topology_plan() -> None:
    """Print where the broker differs from what the services need; exit code 1 if it does."""

    async def go() -> list[str]:
        drift: list[str] = await (await running_shop(state_dir())).topology_plan()
        return drift

    drift = run(go())
    for sentence in drift:
        console.print(f"[yellow]{sentence}")
    if drift:
        console.print("  what to do: run `journey topology apply`; extra objects stay until you delete them")
        raise typer.Exit(NOT_AS_PROMISED)
    console.print("[green]✓[/] the broker matches the topology")


@topology_app.command("apply")
def topology_apply() -> None:
    """Apply the topology to the broker. Nothing is deleted, no message is lost."""

    async def go() -> None:
        await (await running_shop(state_dir())).apply_topology()

    run(go())
    console.print("[green]✓[/] applied")

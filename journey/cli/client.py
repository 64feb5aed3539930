"""`journey client`: the broker users of client programs."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from journey.admin.broker.client_users import NotAllowed
from journey.admin.broker.clients import AlreadyThere, ClientCredentials, Clients, Listed
from journey.admin.broker.management import BrokerAdmin
from journey.cli.console import UsageError, console, run, shop_endpoints

client_app = typer.Typer(
    no_args_is_help=True, help="Client programs: each has its own broker user and queues."
)

Name = Annotated[str, typer.Argument(help="name of the program: a-z, 0-9 and -, at most 40 characters")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@client_app.command()
def add(
    name: Name,
    may: Annotated[
        str | None,
        typer.Option(
            help="commands it may send, e.g. place,cancel; `none`: only follow events; default: all"
        ),
    ] = None,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="set a new password for an existing client")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create a broker user for a program and print its credentials once."""
    made: ClientCredentials = _with_clients(lambda clients: clients.add(name, may, rotate=rotate))
    if as_json:
        typer.echo(json.dumps(made.document(), indent=2))
        return
    console.print(
        f"[green]✓[/] {made.user} may send {', '.join(made.may_send) or 'nothing'}, and follow every event"
    )
    rows = {
        "address": f"{made.host}:{made.port}",
        "virtual host": made.vhost,
        "user": made.user,
        "password": made.password,
        "URL": made.url,
        "queues": f"{made.queue_prefix}*",
    }
    for label, value in rows.items():
        console.print(f"  {label:<13} {value}", markup=False)
    console.print(
        "[dim]  The password is not stored: save it now, or set a new one with --rotate. See docs/clients.md"
    )


@client_app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the client programs, the commands they may send, and their queued messages."""
    found: list[Listed] = _with_clients(lambda clients: clients.listed())
    if as_json:
        typer.echo(json.dumps([each.document() for each in found], indent=2))
        return
    for each in found:
        waiting = "unknown" if each.messages is None else each.messages
        console.print(
            f"{each.name:<20} {each.connections} connections, {len(each.queues)} queues, {waiting} messages "
            f"queued; may send {', '.join(each.may_send) or 'nothing'}"
        )
    if not found:
        console.print("no client programs; `journey client add NAME` creates one")


@client_app.command()
def remove(name: Name, as_json: AsJson = False) -> None:
    """Remove the broker user, its connections and its queues. Running it again changes nothing."""
    there: bool = _with_clients(lambda clients: clients.remove(name))
    if as_json:
        typer.echo(json.dumps({"name": name, "removed": there}))
    else:
        console.print(f"[green]✓[/] client {name} {'was removed' if there else 'does not exist'}")


def _with_clients(work: Callable[[Clients], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        where = shop_endpoints()
        async with BrokerAdmin(where.management_url) as admin:
            try:
                return await work(Clients(admin, where))
            except (NotAllowed, AlreadyThere) as error:
                raise UsageError(str(error)) from None

    return run(go())

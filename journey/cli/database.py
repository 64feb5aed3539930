"""`journey database`: compare the users of MongoDB with what the services need, create them."""

import typer

from journey.cli.console import NOT_AS_PROMISED, console, run, state_dir
from journey.devenv.launcher import running_shop

database_app = typer.Typer(
    no_args_is_help=True, help="The database's users: one per service, one for the operators."
)


@database_app.command("plan")
def database_plan() -> None:
    """Print where the database's users differ from what the services need; exit code 1 if they do."""

    async def go() -> list[str]:
        differences: list[str] = await (await running_shop(state_dir())).database_plan()
        return differences

    differences = run(go())
    for sentence in differences:
        console.print(f"[yellow]{sentence}")
    if differences:
        console.print("  what to do: run `journey database apply`; extra users stay until you drop them")
        raise typer.Exit(NOT_AS_PROMISED)
    console.print("[green]✓[/] each service's user reaches its own database only")


@database_app.command("apply")
def database_apply() -> None:
    """Create the users, or set their roles and passwords. No user is dropped, no connection is closed."""

    async def go() -> None:
        await (await running_shop(state_dir())).apply_database()

    run(go())
    console.print("[green]✓[/] applied")

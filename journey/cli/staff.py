"""`journey staff`: grant or revoke access to the staff pages."""

from uuid import UUID

import typer

from chassis.messaging.envelope import OPERATOR
from contracts.roles import Role
from contracts.users import GrantRole, RevokeRole
from journey.cli.console import console, run, state_dir
from journey.devenv.launcher import running_shop

staff_app = typer.Typer(no_args_is_help=True, help=__doc__)


@staff_app.command()
def grant(user: UUID) -> None:
    """Grant a user the role staff. The page /account shows the user's id."""
    run(_send(GrantRole(user_id=user, role=Role.STAFF)))


@staff_app.command()
def revoke(user: UUID) -> None:
    """Revoke a user's role staff."""
    run(_send(RevokeRole(user_id=user, role=Role.STAFF)))


async def _send(command: GrantRole | RevokeRole) -> None:
    await (await running_shop(state_dir())).send(OPERATOR, command)
    console.print(
        f"[green]✓[/] the broker confirmed {command.TYPE}; it takes effect once user_svc and gateway have "
        f"handled it. `journey watch {command.user_id}` shows whether user_svc has handled it"
    )

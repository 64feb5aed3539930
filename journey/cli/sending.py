"""Sends a command to the running shop.

A command without a confirmation may have been sent. What counts once under an id has the option `--id`, and
prints the id before it is sent, so that a person can repeat it.
"""

from typing import Annotated
from uuid import UUID

import typer

from chassis.messaging.message import Command
from journey.cli.console import console, state_dir
from journey.devenv.launcher import running_shop

GivenId = Annotated[
    UUID | None, typer.Option("--id", help="of an earlier run without a confirmation: it then counts once")
]


async def send_once(user: str, command: Command, id_: UUID) -> None:
    """`id_`: the one in the command under which its service counts it once."""
    console.print(f"[dim]its id is {id_}; without a confirmation, repeat the command with --id {id_}")
    await send_command(user, command)


async def send_command(user: str, command: Command) -> None:
    """`user`: the broker user that sends it."""
    await (await running_shop(state_dir())).send(user, command)
    console.print(f"[green]✓[/] the broker confirmed {command.TYPE}; `journey watch {command.subject}`")

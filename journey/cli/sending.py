"""Sends a command to the running shop."""

from chassis.messaging.message import Command
from journey.cli.console import console, state_dir
from journey.devenv.launcher import running_shop


async def send_command(user: str, command: Command) -> None:
    """`user`: the broker user that sends it."""
    await (await running_shop(state_dir())).send(user, command)
    console.print(f"[green]✓[/] the broker confirmed {command.TYPE}; `journey watch {command.subject}`")

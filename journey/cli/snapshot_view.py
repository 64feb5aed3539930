"""Prints which parts of the shop did not respond or are not ready, and what to do."""

from collections.abc import Collection

from rich.text import Text

from journey.admin.diagnosis.snapshot import ALARM_REMEDY, ShopSnapshot
from journey.admin.text_sanitizer import plain
from journey.cli.console import console


def show_circumstances(now: ShopSnapshot, silent: Collection[str]) -> None:
    """Print the services that did not respond or are not ready, and the broker's problems."""
    for service, why in now.unready.items():
        console.print(Text(f"{service}: {why}", style="red"))
    for service in set(silent) - now.unready.keys():
        console.print(Text(f"{service}: it did not return what it has handled", style="red"))
    if now.blocked:
        console.print(
            Text(f"the broker has an alarm: {now.blocked}\n  what to do: {ALARM_REMEDY}", style="bold red")
        )
    for sentence in now.waits_for_update:
        console.print(Text(sentence, style="yellow"))
    if now.broker_is_silent:
        console.print(Text("the broker does not respond: queues and dead letters are unknown", style="red"))


def show_remedies(remedies: Collection[str]) -> None:
    if remedies:
        console.print("\n[bold]what to do:")
    for remedy in remedies:
        console.print(Text(plain(f"· {remedy}", lines=True)))

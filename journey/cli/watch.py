"""`journey watch ORDER`: prints every message of a journey as it is handled: cause, service,
status change.
"""

import asyncio
from datetime import datetime
from itertools import cycle

import httpx
from rich.console import Console
from rich.text import Text

from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory, fetch, sender_of
from journey.admin.diagnosis.snapshot import why_unready
from journey.admin.endpoints import ShopEndpoints
from journey.admin.instances import responding
from journey.admin.registry import SERVICES

# In the order of the registry. Further services get the first colours again.
_PALETTE = ("cyan", "yellow", "green", "magenta", "blue", "bright_black", "bright_cyan")
COLOURS = dict(zip(SERVICES, cycle(_PALETTE), strict=False))
CLIENT = "client"  # how a sender outside the services is shown
AT_REST = {"confirmed", "dispatched", "cancelled", "rejected", "needs_attention"}
_QUIET_S = 1.5
_POLL_S = 0.2


async def watch(endpoints: ShopEndpoints, journey_id: str, console: Console, *, wait_s: float = 60.0) -> bool:
    """Print steps until the journey is at rest and quiet;
    False if it is not at rest after `wait_s` seconds.
    """
    shown: set[tuple[str, str]] = set()
    loop = asyncio.get_running_loop()
    end = loop.time() + wait_s
    quiet_since = loop.time()
    history, asked = JourneyHistory(), dict[str, str]()
    async with httpx.AsyncClient() as http:
        while True:  # poll at least once, even with wait_s=0
            asked = await responding(http, endpoints.http)
            history = await fetch(http, asked, journey_id)
            fresh = [entry for entry in history.entries if entry.id not in shown]
            for entry in fresh:
                shown.add(entry.id)
                console.print(line(history, entry), soft_wrap=True)
                quiet_since = loop.time()
            if loop.time() >= end or (at_rest(history) and loop.time() - quiet_since > _QUIET_S):
                break
            await asyncio.sleep(_POLL_S)
        for name in history.silent:
            why = await why_unready(http, asked[name]) if name in asked else "it is not running"
            why = why or "it did not respond in time"
            console.print(Text(f"{name}: {why}; its steps are missing here", style="bold red"))
    if history.silent:
        console.print(
            "  what to do: `journey up` starts what is not running; a service recovers with its database"
        )
    if not shown:
        console.print(Text(f"no service has handled a message of journey {journey_id}", style="bold red"))
    return at_rest(history)


def at_rest(history: JourneyHistory) -> bool:
    """Whether its order is. A journey without one (received goods, a role) is at rest once handled."""
    if (status := history.status("orders")) or "order_svc" in history.silent:
        return status in AT_REST
    return bool(history.entries)


def line(history: JourneyHistory, entry: HistoryEntry) -> Text:
    """Time, service, message, sender, status change, and the messages that were emitted."""
    began = history.entries[0].at
    cause = history.cause_of(entry)
    text = Text(f"{_since(began, entry.at):>9}  ")
    text.append(f"{entry.service:<17}", style=f"bold {COLOURS.get(entry.service, 'white')}")
    text.append(f"{_short(entry.type):<26}", style="white")
    sender = cause.service if cause else sender_of(entry.type, entry.service) or CLIENT
    text.append(f" from {sender:<17}", style=f"dim {COLOURS.get(sender, 'white')}")
    if entry.status_from != entry.status_to:
        text.append(f" {entry.status_from or '–'} → ", style="dim").append(entry.status_to, style="bold")
    elif entry.status_to:
        text.append(f" {entry.status_to}", style="dim")
    if entry.says:
        text.append("  emits ", style="dim")
        text.append(", ".join(_short(str(emitted["type"])) for emitted in entry.says), style="italic")
    return text


def _short(wire_type: str) -> str:
    return wire_type.rpartition(".")[0]


def _since(began: datetime, at: datetime) -> str:
    return f"+{(at - began).total_seconds():.3f} s"

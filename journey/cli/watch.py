"""`journey watch ORDER`: prints every message of a journey as it is handled: cause, service,
status change.
"""

import asyncio
from datetime import datetime
from itertools import cycle

import httpx
from rich.console import Console
from rich.text import Text

from chassis.messaging.message import Command, Sender
from contracts.catalog import CATALOG
from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory, fetch
from journey.admin.diagnosis.snapshot import why_unready
from journey.admin.endpoints import ShopEndpoints
from journey.admin.instances import responding
from journey.admin.registry import SERVICES

# In the order of the registry. Further services get the first colours again.
_PALETTE = ("cyan", "yellow", "green", "magenta", "blue", "bright_black", "bright_cyan")
COLOURS = dict(zip(SERVICES, cycle(_PALETTE), strict=False))
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
    trail, asked = JourneyHistory(), dict[str, str]()
    async with httpx.AsyncClient() as http:
        while True:  # poll at least once, even with wait_s=0
            asked = await responding(http, endpoints.http)
            trail = await fetch(http, asked, journey_id)
            fresh = [step for step in trail.steps if step.id not in shown]
            for step in fresh:
                shown.add(step.id)
                console.print(line(trail, step), soft_wrap=True)
                quiet_since = loop.time()
            if loop.time() >= end or (at_rest(trail) and loop.time() - quiet_since > _QUIET_S):
                break
            await asyncio.sleep(_POLL_S)
        for name in trail.silent:
            why = await why_unready(http, asked[name]) if name in asked else "it is not running"
            why = why or "it did not respond in time"
            console.print(Text(f"{name}: {why}; its steps are missing here", style="bold red"))
    if trail.silent:
        console.print(
            "  what to do: `journey up` starts what is not running; a service recovers with its database"
        )
    if not shown:
        console.print(Text(f"no service has handled a message of journey {journey_id}", style="bold red"))
    return at_rest(trail)


def at_rest(trail: JourneyHistory) -> bool:
    """Whether its order is. A journey without one (received goods, a role) is at rest once handled."""
    if (status := trail.status("orders")) or "order_svc" in trail.silent:
        return status in AT_REST
    return bool(trail.steps)


def line(trail: JourneyHistory, step: HistoryEntry) -> Text:
    """Time, service, message, sender, status change, and the messages that were emitted."""
    began = trail.steps[0].at
    cause = trail.cause_of(step)
    text = Text(f"{_since(began, step.at):>9}  ")
    text.append(f"{step.service:<17}", style=f"bold {COLOURS.get(step.service, 'white')}")
    text.append(f"{_short(step.type):<26}", style="white")
    sender = cause.service if cause else _outsider(step)
    text.append(f" from {sender:<17}", style=f"dim {COLOURS.get(sender, 'white')}")
    if step.status_from != step.status_to:
        text.append(f" {step.status_from or '–'} → ", style="dim").append(step.status_to, style="bold")
    elif step.status_to:
        text.append(f" {step.status_to}", style="dim")
    if step.says:
        text.append("  emits ", style="dim")
        text.append(", ".join(_short(str(emitted["type"])) for emitted in step.says), style="italic")
    return text


def _outsider(step: HistoryEntry) -> str:
    """The sender of a message without a cause: a client, or the service's own reminder loop."""
    contract = CATALOG.get(step.type)
    by_itself = contract is not None and issubclass(contract, Command) and contract.SENDER is Sender.SELF
    return step.service if by_itself else "client"


def _short(wire_type: str) -> str:
    return wire_type.rpartition(".")[0]


def _since(began: datetime, at: datetime) -> str:
    return f"+{(at - began).total_seconds():.3f} s"

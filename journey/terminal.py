"""How `journey` meets a terminal: sentences instead of tracebacks, an exit code for every failure."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console

from chassis import telemetry
from chassis.bus import BusUnavailable
from journey.broker_admin import AdminUnavailable
from journey.client import NotSent
from journey.infra.model import InfrastructureUnavailable
from journey.place import Place, recorded
from journey.system import ROOT

telemetry.configure("error", pretty=True)
logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it would complain of becomes a sentence of ours
console = Console(highlight=False, soft_wrap=True)

NOT_AS_PROMISED, UNAVAILABLE, MISUSED = 1, 3, 2


def state_dir() -> Path:
    return Path(os.environ.get("JOURNEY_HOME", ROOT / ".journey"))


class Misuse(Exception):
    """What the user can do better."""


def place() -> Place:
    if (known := recorded(state_dir())) is None:
        raise Misuse("the shop is not running here; start it with `journey up`")
    return known


def say(text: str) -> None:
    console.print(f"[dim]·[/] {text}")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it; known failures become a sentence and an exit code instead of a traceback."""
    try:
        return asyncio.run(work)
    except Misuse as error:
        code, text = MISUSED, str(error)
    except (InfrastructureUnavailable, AdminUnavailable, NotSent, BusUnavailable) as error:
        code, text = UNAVAILABLE, str(error)
    except httpx.HTTPError as error:
        code, text = UNAVAILABLE, f"{type(error).__name__} {error}; is the shop running? `journey up`"
    except KeyboardInterrupt:
        code, text = 130, "interrupted"
    console.print(f"[bold red]{text}")
    raise typer.Exit(code)

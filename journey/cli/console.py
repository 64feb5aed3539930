"""Terminal side of `journey`: failures become messages with an exit code instead of tracebacks."""

import asyncio
import logging
import os
import textwrap
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from chassis import telemetry
from journey.admin.endpoints import ShopEndpoints, recorded
from journey.admin.errors import failure_of
from journey.devenv import compose_shop
from journey.devenv.process_shop import ROOT

telemetry.configure("error", pretty=True)
logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # failure_of reports these errors
console = Console(highlight=False, soft_wrap=True)

NOT_AS_PROMISED = 1
UNAVAILABLE = 3
MISUSED = 2


def state_dir() -> Path:
    return Path(os.environ.get("JOURNEY_HOME", ROOT / ".journey"))


def wrapped(sentence: str, width: int | None) -> str:
    """The sentence with line breaks between words. None: as it is, for output that is no terminal.

    Not for texts with commands: they must stay on one line, so that they can be copied.
    """
    if width is None:
        return sentence
    return "\n".join(textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False))


def terminal_width() -> int | None:
    """None if the output is no terminal."""
    return console.width if console.is_terminal else None


class UsageError(Exception):
    """Wrong command, argument or option; the text says how to correct it."""


def shop_endpoints() -> ShopEndpoints:
    if (known := recorded(state_dir())) is None:
        raise UsageError("the shop is not running; start it with `journey up`")
    return compose_shop.located(known) if known.kind == "compose" else known


def log(text: str) -> None:
    console.print(f"[dim]·[/] {text}")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run the coroutine; expected failures become a message and an exit code instead of a traceback."""
    try:
        return asyncio.run(work)
    except UsageError as error:
        code, text = MISUSED, str(error)
    except KeyboardInterrupt:
        code, text = 130, "interrupted"
    except Exception as error:
        if (failure := failure_of(error, recorded(state_dir()))) is None:
            raise
        code, text = UNAVAILABLE, str(failure)
    console.print(Text(text, style="bold red"))
    raise typer.Exit(code)

"""`python -m tests.chaos`: the full run.

Options, or CHAOS_SEED, CHAOS_ORDERS and CHAOS_FAULTS in the environment.
"""

import asyncio
import logging
import random
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.cli.console import NOT_AS_PROMISED, UNAVAILABLE
from tests.chaos.report import Outcome, show, show_total
from tests.chaos.restore_drills import restore_drills
from tests.chaos.run import Plan, phase

# Seconds of faults in all phases; starting and coming to rest take the rest of 20 minutes.
SECONDS_MAX = 960.0
# By the number of nodes. Three brokers and three databases share the cores of one machine with the services:
# more orders than they can handle make each recovery wait for the backlog, and the faults become few.
ORDERS_PER_SECOND = {1: 9.0, 3: 6.0}

console = Console(highlight=False, soft_wrap=True)
logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # broken connections are expected


def main(
    seed: Annotated[int | None, typer.Option(envvar="CHAOS_SEED", help="Seed of the faults.")] = None,
    orders: Annotated[int, typer.Option(envvar="CHAOS_ORDERS", min=1, help="Minimum in all phases.")] = 5_000,
    faults: Annotated[int, typer.Option(envvar="CHAOS_FAULTS", min=1, help="Minimum in all phases.")] = 100,
    nodes: Annotated[
        list[int] | None,
        typer.Option(help="Nodes of broker and database: 1 or 3; give both for two phases (default)."),
    ] = None,
    drills: Annotated[
        bool, typer.Option("--drills", help="Instead, set databases back and lose the broker.")
    ] = False,
) -> None:
    """Inject faults into a shop under load, on its own broker and database,
    and check the outcome of every order.
    """
    if set(nodes or ()) - {1, 3}:
        raise typer.BadParameter(
            "brokers and databases have one or three nodes; use 1 or 3", param_hint="--nodes"
        )
    chosen = seed if seed is not None else random.randrange(10**6)
    console.print(f"CHAOS_SEED={chosen}: {orders} orders, {faults} faults")
    state_dir = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        outcomes = asyncio.run(
            _drills(chosen, state_dir)
            if drills
            else _all_phases(chosen, orders, faults, nodes or [1, 3], state_dir)
        )
    except InfrastructureUnavailable as error:
        console.print(f"[bold red]{error}")
        raise typer.Exit(UNAVAILABLE) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(state_dir)
        console.print("interrupted; everything is stopped")
        raise typer.Exit(130) from None
    show_total(outcomes, chosen, console)
    if any(outcome.check_result.problems for outcome in outcomes):
        console.print(f"[bold red]some checks failed[/]; the logs are in {state_dir}")
        raise typer.Exit(NOT_AS_PROMISED)
    shutil.rmtree(state_dir)


async def _all_phases(
    seed: int, orders: int, faults: int, nodes: list[int], state_dir: Path
) -> list[Outcome]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    seconds = SECONDS_MAX
    share = len(nodes)
    outcomes = list[Outcome]()
    for each in nodes:
        console.rule(f"broker and database of {each}")
        wanted = -(-orders // share), -(-faults // share)
        plan = Plan(seed, 3 if each == 3 else 1, *wanted, seconds, ORDERS_PER_SECOND[each])
        outcomes.append(await phase(plan, state_dir / f"nodes-{each}", console.print))
        show(outcomes[-1], console)
        seconds -= outcomes[-1].seconds
    return outcomes


async def _drills(seed: int, state_dir: Path) -> list[Outcome]:
    console.rule("restore drills")
    outcome = await restore_drills(seed, state_dir / "drills", console.print)
    show(outcome, console)
    return [outcome]


if __name__ == "__main__":
    typer.run(main)

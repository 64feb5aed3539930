"""`journey bench`: against a plain program, and the cost of tracing and the growth with more instances."""

from pathlib import Path
from typing import Annotated

import typer

from journey.admin.endpoints import recorded
from journey.cli import bench as bench_
from journey.cli import bench_growth, bench_tracing
from journey.cli.console import NOT_AS_PROMISED, UsageError, console, log, run, state_dir
from journey.devenv.launcher import running_shop
from journey.devenv.process_shop import ProcessShop

bench_app = typer.Typer()


@bench_app.command()
def bench(
    orders: Annotated[int, typer.Option(min=100, max=50_000, help="orders per saturation round")] = 4_000,
    rounds: Annotated[int, typer.Option(min=1, max=20)] = 3,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="seconds per round at a fixed rate")] = 10.0,
    traces_to: Annotated[
        str, typer.Option(help="measure the cost of tracing instead, with the OTLP receiver at this URL")
    ] = "",
    growth: Annotated[
        Path | None, typer.Option(help="measure 1, 2 and 4 instances instead; write JSON here, and a chart")
    ] = None,
    provider_ms: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=10_000,
            help="how long the simulated card provider takes for each call",
            show_default="5",
        ),
    ] = None,
) -> None:
    """Benchmark the shop against a plain program with the same journey.

    Takes minutes at full load; loopback only.
    """

    async def go() -> bool:
        was_up = recorded(state_dir()) is not None
        if was_up and provider_ms is not None:
            raise UsageError("--provider-ms needs a shop of the benchmark's own: run `journey down` first")
        settings = {} if provider_ms is None else {"SIMULATOR_LATENCY_MS": str(provider_ms)}
        shop = (
            await running_shop(state_dir()) if was_up else await bench_.own_shop(state_dir(), log, settings)
        )
        if not isinstance(shop, ProcessShop):
            raise UsageError("bench needs local processes: `journey down`, then `journey bench` starts them")
        try:
            if traces_to:
                await bench_tracing.run(shop, console, endpoint=traces_to, orders=orders, rounds=rounds)
                return True
            if growth is not None:
                await bench_growth.run(shop, console, orders=orders, rounds=rounds, results=growth)
                return True
            return await bench_.run(shop, console, orders=orders, rounds=rounds, seconds=seconds)
        finally:
            if not was_up:
                await bench_.end_own_shop(shop, log)

    if not run(go()):
        raise typer.Exit(NOT_AS_PROMISED)

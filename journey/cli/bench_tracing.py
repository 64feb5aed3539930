"""`journey bench --traces-to`: the service CPU per order, without tracing and with shares of it sampled."""

import asyncio
import statistics

from rich.console import Console
from rich.table import Table

from journey.cli import bench
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import register, seed

_SAMPLER = "OTEL_TRACES_SAMPLER"
_RATIOS = {"not sampled": "0", "1 % sampled": "0.01", "all sampled": "1"}
OFF = "off"


def modes(endpoint: str) -> dict[str, dict[str, str]]:
    """Name of each mode -> the environment variables of the services."""
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, _SAMPLER: "traceidratio"}
    sampled = {name: on | {f"{_SAMPLER}_ARG": ratio} for name, ratio in _RATIOS.items()}
    return {OFF: {"OTEL_SDK_DISABLED": "true"}, **sampled}


async def run(system: ProcessShop, console: Console, *, endpoint: str, orders: int, rounds: int) -> None:
    """Measure the modes in interleaved rounds, in an order that rotates, and print the medians.

    `endpoint`: an OTLP receiver. Its own CPU time is not counted.
    """
    await seed(system)
    customers = await register(system, ["Ada", "Grace", "Edsger", "Barbara"])
    await bench.add_stock(system, system.endpoints)
    names = list(bench.service_pids(system))
    cpu_ms: dict[str, list[float]] = {}
    every = list(modes(endpoint).items())
    for number in range(rounds):
        first = number % len(every)
        for mode, settings in every[first:] + every[:first]:
            await asyncio.gather(*(system.stop(name) for name in names))
            for name in names:
                system.start(name, 1, **settings)
            await system.ready(names)
            pids = bench.service_pids(system)
            label = f"round {number + 1} of {rounds}: {mode}"
            one = await bench.measure_round(
                system.endpoints, pids, customers, "saturation", label, orders, 0.0, console
            )
            cpu_ms.setdefault(mode, []).append(one.cpu_seconds / one.orders * 1000)
    console.print(_table(cpu_ms))


def _table(cpu_ms: dict[str, list[float]]) -> Table:
    table = Table(title="service CPU per order, ms")
    for heading in ("tracing", "median", "smallest", "against off"):
        table.add_column(heading, justify="right")
    for mode, values in cpu_ms.items():
        median = statistics.median(values)
        more = median / statistics.median(cpu_ms[OFF]) - 1
        table.add_row(mode, f"{median:.2f}", f"{min(values):.2f}", f"{more:+.1%}")
    return table

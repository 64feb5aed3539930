"""`journey bench --growth`: throughput and CPU with 1, 2 and 4 instances of each service."""

import os
import statistics
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from bench.growth import BROKER, CLIENT, DATABASE, Growth, GrowthRound
from bench.growth_chart import draw
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import service_of
from journey.admin.registry import SERVICES
from journey.admin.ssl_context import tls
from journey.cli import bench
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import register, seed

COUNTS = (1, 2, 4)
_HANDLED = "journey_messages_handled_total"
_CONFLICTS = "journey_write_conflicts_total"


async def run(system: ProcessShop, console: Console, *, orders: int, rounds: int, results: Path) -> None:
    """Measure in interleaved rounds, in an order that rotates.

    Writes the measurement as JSON to `results`, and the chart beside it. Other programs on the machine
    disturb all numbers of instances alike, so ratios within a round say more than orders/s.
    """
    await seed(system)
    customers = await register(system, ["Ada", "Grace", "Edsger", "Barbara"])
    await bench.add_stock(system, system.endpoints)
    servers = _servers(system)
    measured: list[GrowthRound] = []
    for number in range(rounds):
        first = number % len(COUNTS)
        for instances in COUNTS[first:] + COUNTS[:first]:
            await system.scale(dict.fromkeys(SERVICES, instances))
            pids = _instances(system) | servers | {CLIENT: os.getpid()}
            before, machine_before = await _counters(system), _machine_cpu_s()
            label = f"round {number + 1} of {rounds}: {instances} of each"
            one = await bench.measure_round(
                system.endpoints, pids, customers, "saturation", label, orders, 0.0, console
            )
            now = await _counters(system)
            measured.append(
                GrowthRound(
                    number=number,
                    instances=instances,
                    orders=one.orders,
                    seconds=one.seconds,
                    p50_ms=one.p50_ms,
                    cpu_s=_by_service(one.cpu_by_process),
                    handled={name: now[_HANDLED, name] - before[_HANDLED, name] for name in SERVICES},
                    conflicts={name: now[_CONFLICTS, name] - before[_CONFLICTS, name] for name in SERVICES},
                    machine_cpu_s=_machine_cpu_s() - machine_before,
                )
            )
    growth = Growth(cores=os.cpu_count() or 1, in_flight=bench.IN_FLIGHT, rounds=tuple(measured))
    growth.write(results)
    results.with_suffix(".svg").write_text(draw(growth))
    console.print(_table(growth))
    console.print(f"written: {results} and {results.with_suffix('.svg')}")


def _instances(system: ProcessShop) -> dict[str, int]:
    return {
        process: record.pid
        for process in system.processes.recorded()
        if service_of(process) in SERVICES and (record := system.processes.running(process))
    }


def _servers(system: ProcessShop) -> dict[str, int]:
    """The processes of broker and database. Raises InfrastructureUnavailable if they run elsewhere."""
    listening = {
        each.laddr.port: each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.pid and each.laddr
    }
    found = system.infrastructure
    ports = {BROKER: urlsplit(found.amqp_url).port or 5672, DATABASE: _port_of_mongo(found.mongo_url)}
    for name, port in ports.items():
        if port not in listening:
            raise InfrastructureUnavailable(
                f"no process of this machine listens on {name}'s port {port}, so its CPU time is unknown",
                "measure with local infrastructure: JOURNEY_INFRA=local",
            )
    return {name: listening[port] for name, port in ports.items()}


def _port_of_mongo(url: str) -> int:
    """Of the first server; a URL may name several, which `urlsplit` cannot parse."""
    first = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(",")[0]
    return int(first.partition(":")[2] or 27017)


async def _counters(system: ProcessShop) -> Counter[tuple[str, str]]:
    """(metric, service) -> the sum over its instances."""
    sums: Counter[tuple[str, str]] = Counter()
    async with httpx.AsyncClient(timeout=20, verify=tls()) as http:
        for process in _instances(system):
            text = (await http.get(f"{system.endpoints.http[process]}/metrics")).raise_for_status().text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name in (_HANDLED, _CONFLICTS):
                        sums[sample.name, service_of(process)] += int(sample.value)
    return sums


def _by_service(cpu_by_process: dict[str, float]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for process, seconds in cpu_by_process.items():
        sums[service_of(process)] = sums.get(service_of(process), 0.0) + seconds
    return sums


def _machine_cpu_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait)


def _table(growth: Growth) -> Table:
    table = Table(title="medians of all rounds")
    for heading in (
        "instances of each",
        "orders/s",
        "in relation to 1",
        "CPU per order, ms",
        "of it services",
    ):
        table.add_column(heading, justify="right")
    for count in growth.counts:
        cpu = growth.cpu_ms(count)
        services = sum(cost for name, cost in cpu.items() if name in SERVICES)
        table.add_row(
            str(count),
            f"{growth.median(count, lambda each: each.per_second):.0f}",
            f"{statistics.median(growth.ratios(count)):.2f}",
            f"{sum(cpu.values()):.2f}",
            f"{services / sum(cpu.values()):.0%}",
        )
    return table

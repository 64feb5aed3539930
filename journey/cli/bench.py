"""`journey bench`: the running shop against a plain aio-pika + motor program, in interleaved rounds."""

import asyncio
import statistics
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aio_pika
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from bench.load import Load, Measured, Stalled, measure
from bench.plain import PLAIN
from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from contracts.catalog import NAMES
from contracts.inventory import ReceiveStock
from contracts.products import ProductListed
from contracts.values import Money
from journey.admin.database.admin import DatabaseAdmin
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.admin.registry import SERVICES, WEB_PROGRAMS, shop_topology
from journey.devenv.catalogue import CATALOGUE, STAPLES
from journey.devenv.infra import resolve
from journey.devenv.process_shop import ROOT, ProcessShop
from journey.devenv.shop import register, seed

IN_FLIGHT = 2_000
RATES = (20, 50)
_PIECES = 1_000_000
_MAILS_S_MAX = 120.0
_IDLE_S = 3.0  # an unacknowledged message is in no queue count: wait this long to be sure


class PlainShop:
    """The plain program on the same broker and database server, with its own virtual host and databases."""

    def __init__(self, system: ProcessShop) -> None:
        self._system = system
        self._names = [f"plain_{name}" for name in PLAIN]
        self._run = uuid4().hex[:8]
        endpoints = system.endpoints
        self.endpoints = ShopEndpoints(**{**endpoints.__dict__, "vhost": f"plain-{self._run}"})

    @property
    def pids(self) -> dict[str, int]:
        return {name: record.pid for name in self._names if (record := self._system.processes.running(name))}

    async def up(self) -> None:
        async with self._system.admin as admin:
            await admin.apply(shop_topology(), self.endpoints.vhost, self.endpoints.passwords)
        await _without_web(self._system, self.endpoints.vhost)
        for name, process in zip(PLAIN, self._names, strict=True):
            environment = self._system.environment(f"{name}_svc") | {
                "AMQP_URL": self.endpoints.amqp_url(f"{name}_svc"),
                "SERVICE_TOKEN": self.endpoints.service_token,
                "MONGO_URL": self._system.infrastructure.mongo_url,
                "MONGO_DATABASE": f"plain_{self._run}_{name}",
                "PROVIDER_DATABASE": f"plain_{self._run}_provider",
            }
            log = self._system.state_dir / "log" / f"{process}.log"
            log.unlink(missing_ok=True)
            command = [sys.executable, "-m", "bench.plain", name]
            self._system.processes.start(process, command, log=log, env=environment, cwd=ROOT)
            await _until_log_contains(log, "is consuming")

    async def down(self) -> None:
        await asyncio.gather(*(self._system.processes.stop(name, grace_s=5) for name in self._names))
        await _forget(self._system, self.endpoints.vhost, f"plain_{self._run}_")


async def own_shop(state_dir: Path, log: Log, settings: Mapping[str, str] | None = None) -> ProcessShop:
    """A shop for this benchmark only, as empty as the plain one.

    Data of earlier orders, and messages queued for a stopped gateway, would slow down one side.
    """
    name = f"bench_{uuid4().hex[:8]}"
    infrastructure = await resolve.obtain(state_dir, log=log)
    system = ProcessShop(state_dir, infrastructure, vhost=name, database_prefix=f"{name}_", settings=settings)
    await system.up(log)
    await _without_web(system, name)
    return system


async def end_own_shop(system: ProcessShop, log: Log) -> None:
    """Stop the shop and the infrastructure that was started for it."""
    await system.down(log)
    await _forget(system, system.endpoints.vhost, system.endpoints.database_prefix)
    await resolve.release(system.state_dir, log=log)


async def _without_web(system: ProcessShop, vhost: str) -> None:
    """Delete the event queues of gateway and operations: unconsumed,
    they would grow and slow the broker down.
    """
    async with system.admin as admin:
        for program in WEB_PROGRAMS:
            await admin.delete_queue(vhost, f"{program}.events")


async def _forget(system: ProcessShop, vhost: str, database_prefix: str) -> None:
    async with system.admin as admin:
        await admin.delete_vhost(vhost)
    async with DatabaseAdmin(system.infrastructure.mongo_url) as database:
        await database.drop(database_prefix)


async def run(system: ProcessShop, console: Console, *, orders: int, rounds: int, seconds: float) -> bool:
    """Measure and print the results; True if the performance targets are met."""
    plain = PlainShop(system)
    results: dict[tuple[str, str], list[Measured]] = {}
    web = [name for name in WEB_PROGRAMS if system.processes.running(name)]
    if web:
        console.print(f"· {' and '.join(web)} stopped for the benchmark: the plain program has no web side")
    try:
        await asyncio.gather(*(system.stop(name) for name in web))
        await seed(system)
        await plain.up()
        customers = await register(system, ["Ada", "Grace", "Edsger", "Barbara"])
        await add_stock(system, system.endpoints)
        await add_stock(system, plain.endpoints, listed=True)
        for number in range(1, rounds + 1):
            for who, endpoints in (("ours", system.endpoints), ("plain", plain.endpoints)):
                pids = service_pids(system) if who == "ours" else plain.pids
                for what in ("saturation", *(f"{rate}/s" for rate in RATES)):
                    label = f"round {number} of {rounds}: {who}, {what}"
                    results.setdefault((who, what), []).append(
                        await measure_round(endpoints, pids, customers, what, label, orders, seconds, console)
                    )
    finally:
        await plain.down()
        for name in web:
            system.start(name)
        await system.ready(web)
    return _report(results, console)


async def measure_round(
    endpoints: ShopEndpoints,
    pids: dict[str, int],
    customers: list[UUID],
    what: str,
    label: str,
    orders: int,
    seconds: float,
    console: Console,
) -> Measured:
    rate = 0 if what == "saturation" else int(what.removesuffix("/s"))
    total = orders if rate == 0 else int(rate * seconds)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        url = endpoints.amqp_url(NAMES.client)
        async with Load(
            url, list(STAPLES), customers, lambda done: progress.update(task, completed=done)
        ) as load:
            work = partial(load.at_rate, rate, seconds) if rate else partial(load.saturate, orders, IN_FLIGHT)
            return await measure(pids, work, lambda: _mailed(endpoints))


def _report(results: dict[tuple[str, str], list[Measured]], console: Console) -> bool:
    def median(who: str, what: str, figure: str) -> float:
        return statistics.median(float(getattr(one, figure)) for one in results[who, what])

    table = Table(title="medians of all rounds")
    for heading in ("figure", "ours", "plain", "ratio"):
        table.add_column(heading, justify="right")

    def row(name: str, ours: float, plain: float, form: str) -> float:
        table.add_row(name, form.format(ours), form.format(plain), f"{ours / plain:.2f}")
        return ours / plain

    saturation = row(
        f"orders/s, {IN_FLIGHT} in flight",
        median("ours", "saturation", "per_second"),
        median("plain", "saturation", "per_second"),
        "{:.0f}",
    )
    latency = {}
    for rate in RATES:
        for figure in ("p50_ms", "p99_ms"):
            ours, plain = (median(who, f"{rate}/s", figure) for who in ("ours", "plain"))
            latency[rate, figure] = row(f"{figure[:3]} at {rate}/s, ms", ours, plain, "{:.1f}")
    cpu = {
        who: statistics.median(one.cpu_seconds / one.orders * 1000 for one in results[who, "saturation"])
        for who in ("ours", "plain")
    }
    row("service CPU per order, ms", cpu["ours"], cpu["plain"], "{:.2f}")
    ours, plain = (median(who, "saturation", "mails_after") for who in ("ours", "plain"))
    table.add_row("seconds from the last order to the last mail", f"{ours:.1f}", f"{plain:.1f}")
    memory: dict[str, float] = {}
    for one in results["ours", "saturation"]:
        memory |= {name: max(memory.get(name, 0), mib) for name, mib in one.memory_mib.items()}
    console.print(table)
    console.print("memory, MiB: " + ", ".join(f"{name} {mib:.0f}" for name, mib in memory.items()))
    promises = {
        "at least 3 times the plain program's orders/s": saturation >= 3,
        "p50 at 20/s at most 1.3 times the plain program's": latency[20, "p50_ms"] <= 1.3,
        "under 150 MiB per service": max(memory.values()) < 150,
    }
    for promise, holds in promises.items():
        console.print(f"[{'green' if holds else 'red'}]{'✓' if holds else '✗'}[/] {promise}")
    return all(promises.values())


async def add_stock(system: ProcessShop, endpoints: ShopEndpoints, *, listed: bool = False) -> None:
    """Enough stock of each article.

    The plain program has no product_svc, so its prices are published here.
    """
    events: list[Any] = [
        ProductListed(
            sku=article.sku,
            title=article.title,
            category=article.category,
            price=Money(amount_minor=article.cents, currency="EUR"),
            revision=1,
        )
        for article in CATALOGUE
        if article.sku in STAPLES and listed
    ]
    receipts = [ReceiveStock(receipt_id=new_id(), sku=sku, quantity=_PIECES) for sku in STAPLES]
    async with system.client_at(endpoints, "operator") as client:
        await client.send(*events, *receipts)
    await asyncio.sleep(1)


def service_pids(system: ProcessShop) -> dict[str, int]:
    return {name: record.pid for name in SERVICES if (record := system.processes.running(name))}


async def _mailed(endpoints: ShopEndpoints) -> float:
    """When the last mail of a round was sent, so that the next round starts idle.

    Raises Stalled if none is sent.
    """
    time = asyncio.get_running_loop().time
    busy_at = fewer_at = time()
    fewest = sys.maxsize
    async with await aio_pika.connect(endpoints.amqp_url(OPERATOR)) as connection:
        channel = await connection.channel()
        while time() < busy_at + _IDLE_S:
            await asyncio.sleep(0.1)
            queues = [await channel.get_queue(f"notification_svc.{kind}") for kind in ("events", "commands")]
            waiting = sum(queue.declaration_result.message_count or 0 for queue in queues)
            if waiting:
                busy_at = time()
            if waiting < fewest:
                fewest, fewer_at = waiting, time()
            elif time() > fewer_at + _MAILS_S_MAX:
                raise Stalled(f"{waiting} mails are queued, and none was sent for {_MAILS_S_MAX:.0f} s")
    return busy_at


async def _until_log_contains(log: Path, text: str, wait_s: float = 20.0) -> None:
    end = asyncio.get_running_loop().time() + wait_s
    while text not in (log.read_text() if log.exists() else ""):
        if asyncio.get_running_loop().time() > end:
            raise InfrastructureUnavailable(
                f"its log did not contain {text!r} within {wait_s:.0f} s", f"check {log}"
            )
        await asyncio.sleep(0.1)

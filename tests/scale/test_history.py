"""The operators' tools with a long history: they read only what is open, in little memory,
and report progress.

`make test` uses fewer orders than `make scale`, which uses a million: SCALE_ORDERS. Seconds are printed but
not asserted; asserted are the number of documents that the database examines, and the memory.
"""

import asyncio
import os
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient

from journey.admin.diagnosis.snapshot import ShopSnapshot
from journey.admin.diagnosis.stuck_search import Search
from journey.admin.private_files import write_private
from journey.admin.registry import SERVICES
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ROOT, ProcessShop
from tests.scale import history
from tests.support.databases import read_documents
from tests.support.eventually import until
from tests.support.infrastructure import fresh_system

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(3600)]

ORDERS = int(os.environ.get("SCALE_ORDERS", "50000"))
MISSED = 50
WITH_HANDLING_RECORDS = ("order_svc", "inventory_svc", "payment_svc", "notification_svc")
MEGABYTE = 1 << 20
PEAK_MAX = 200 * MEGABYTE  # half of it is the code of `journey`
SHOWN = 5
LOOKED_AT_MAX = 300  # for a page of 50, besides the services' own queries


@dataclass
class Ended:
    """The result of a command. `first_s`: time of the first output; `peak`: maximum memory, in bytes."""

    code: int
    output: str
    errors: str
    first_s: float
    took_s: float
    peak: int

    def __str__(self) -> str:
        return (
            f"first word after {self.first_s:.1f} s, {self.took_s:.1f} s in all, {self.peak / MEGABYTE:.0f} "
            "MB"
        )


def _peak_of(pid: int) -> int:
    """In bytes. The value of wait4(2) would include the memory of this process, from which it was forked."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


async def journey(system: ProcessShop, *arguments: str) -> Ended:
    """As a separate process, with its output to a pipe."""
    environment = {"PATH": os.environ["PATH"], "JOURNEY_HOME": str(system.state_dir), "PYTHONPATH": str(ROOT)}
    environment["COLUMNS"] = "250"
    out, err = system.state_dir / "stdout", system.state_dir / "stderr"

    def run() -> Ended:
        began = time.monotonic()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            files = [(os.POSIX_SPAWN_DUP2, stdout.fileno(), 1), (os.POSIX_SPAWN_DUP2, stderr.fileno(), 2)]
            command = [sys.executable, "-m", "journey.cli.app", *arguments]
            pid = os.posix_spawn(sys.executable, command, environment, file_actions=files)
            first_s, peak = 0.0, 0
            while True:
                peak = max(peak, _peak_of(pid))
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not first_s and (out.stat().st_size or err.stat().st_size):
                    first_s = time.monotonic() - began
                if ended:
                    break
                time.sleep(0.02)
        code, took_s = os.waitstatus_to_exitcode(status), time.monotonic() - began
        return Ended(code, out.read_text(), err.read_text(), first_s, took_s, peak)

    ended = await asyncio.to_thread(run)
    print(f"journey {' '.join(arguments)}: {ended}")
    return ended


async def examined(system: ProcessShop, ask: Callable[[], Awaitable[object]]) -> int:
    """The number of documents that the services' databases examine during the block."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            AsyncMongoClient[dict[str, Any]](system.infrastructure.mongo_url)
        )
        databases = [
            client.get_database(f"{system.endpoints.database_prefix}{name}") for name in WITH_HANDLING_RECORDS
        ]
        async with AsyncExitStack() as profiled:
            counts = [await profiled.enter_async_context(read_documents(database)) for database in databases]
            await ask()
        return sum(count() for count in counts)


async def test_operators_tools_read_open_orders_in_bounded_memory(
    real_infrastructure: Infrastructure, tmp_path: Path
) -> None:
    """The services are started with a history of an older version, as after an upgrade."""
    write_private(tmp_path / "infrastructure.json", real_infrastructure.to_json())
    async with fresh_system(real_infrastructure, tmp_path, 0.01, {}) as system:
        began = time.monotonic()
        await history.write(real_infrastructure.mongo_url, system.endpoints.database_prefix, ORDERS, MISSED)
        print(f"{ORDERS:,} orders written in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        await system.up(lambda text: None)
        print(f"the services started on them, with their indexes, in {time.monotonic() - began:.0f} s")
        await _dated(system)
        await _stuck(system)
        await _stuck_page(system)
        await _lists(system)
        await _doctor(system)


async def _dated(system: ProcessShop) -> None:
    """Wait until the services have read all old documents once to date them: that would be counted, too."""

    async def is_compared() -> bool:
        async with httpx.AsyncClient() as http:
            responses = [
                (await http.get(f"{system.endpoints.http[name]}/retention")).json()
                for name in WITH_HANDLING_RECORDS
            ]
        return all(rule["done_at"] for rules in responses for rule in rules)

    await until(is_compared, within_s=600.0)


async def _stuck(system: ProcessShop) -> None:
    ended: list[Ended] = []

    async def ask() -> None:
        ended.append(await journey(system, "stuck", "--older-than", "1m"))

    looked_at = await examined(system, ask)
    print(f"{looked_at:,} documents looked at")
    listed = ended[0].output.count("awaits order.confirmed by payment_svc")
    assert (ended[0].code, listed) == (1, MISSED), ended[0].output
    # For each, four documents are read with their outgoing messages, and the keys that lead to them.
    assert looked_at < 40 * MISSED
    assert ended[0].peak < PEAK_MAX
    everything = await journey(system, "stuck", "--all", "--limit", "7")
    assert f"{MISSED} orders have waited" in everything.output and "7 are listed" in everything.output
    assert everything.peak < PEAK_MAX


async def _stuck_page(system: ProcessShop) -> None:
    """The search behind /ops/stuck."""
    addresses = {name: system.endpoints.http[name] for name in SERVICES}
    snapshot = ShopSnapshot(addresses, {}, {}, ())
    async with httpx.AsyncClient() as http:
        tracemalloc.start()
        began = time.monotonic()
        search = Search(http, snapshot, datetime.now(UTC) - timedelta(minutes=1))
        found = [order.order_id async for order in search.found()]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    print(f"/ops/stuck: {time.monotonic() - began:.1f} s, {peak / MEGABYTE:.1f} MB")
    assert found == [history.order_id(number) for number in range(0, ORDERS, ORDERS // MISSED)]
    assert peak < 20 * MEGABYTE


LISTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("order_svc", "/orders", {}),
    ("order_svc", "/orders", {"status": "confirmed"}),
    ("order_svc", "/orders", {"status": "cancelled"}),
    ("order_svc", "/orders", {"status": "confirmed", "after": history.order_id(ORDERS // 2)}),
    ("inventory_svc", "/reservations", {"status": "committed"}),
    ("inventory_svc", "/reservations", {"status": "committed", "after": history.order_id(ORDERS // 2)}),
    ("inventory_svc", "/stock", {}),
)


async def _lists(system: ProcessShop) -> None:
    """The lists of the staff pages: a page costs what it shows, at any position of the list."""
    for service, path, which in LISTS:
        shown, looked_at = await _page(system, service, path, which)
        print(f"{path} {which}: {looked_at:,} documents looked at")
        assert shown == {"cancelled": 0}.get(which.get("status", ""), 1 if path == "/stock" else 50)
        assert looked_at < LOOKED_AT_MAX


async def _page(system: ProcessShop, service: str, path: str, which: dict[str, str]) -> tuple[int, int]:
    """The number of items, and of documents examined for them."""
    shown = 0

    async def ask() -> None:
        nonlocal shown
        async with httpx.AsyncClient() as http:
            response = await http.get(
                f"{system.endpoints.http[service]}{path}", params={"limit": 50, **which}
            )
        shown = len(response.raise_for_status().json()["items"])

    looked_at = await examined(system, ask)
    return shown, looked_at


async def _doctor(system: ProcessShop) -> None:
    recent = await journey(system, "doctor", "--recent", "--wait-s", "0")
    assert recent.code == 1 and _findings(recent).count("its payment is authorized") == SHOWN, (
        recent.output + recent.errors
    )
    assert f"and {MISSED - SHOWN} more" in recent.output
    whole = await journey(system, "doctor", "--wait-s", "0")
    assert whole.code == 1 and f"and {MISSED - SHOWN} more" in whole.output, whole.output + whole.errors
    assert _broken(whole) == _broken(recent), "nothing else is wrong"
    assert "comparing orders: " in whole.errors or whole.took_s < 10, "it reports its progress"
    assert max(recent.peak, whole.peak) < PEAK_MAX


def _findings(ended: Ended) -> str:
    """Its final output, without early results, which it prints if it takes more than a second."""
    return "\n".join(line for line in ended.output.splitlines() if not line.startswith("so far "))


def _broken(ended: Ended) -> list[str]:
    return [line.strip() for line in ended.output.splitlines() if line.startswith("broken")]

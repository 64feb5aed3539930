"""`journey replay`: rebuilds every order from the journal alone, and compares its status with order_svc.

The events of all orders do not fit into memory, so a temporary SQLite database holds them. One order at a
time is in memory.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from types import TracebackType
from uuid import UUID

import httpx

from chassis.messaging.catalog import UpcastFailed
from chassis.messaging.envelope import OPERATOR, Malformed, parse
from chassis.messaging.message import Event
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from journey.admin import paging
from journey.admin.endpoints import ShopEndpoints
from journey.admin.event_log import journal
from journey.admin.event_log.order_events import OrderEvent, ProjectedOrder, order_event_of, order_of
from journey.admin.instances import responding
from journey.admin.progress_log import Log

Statuses = AsyncGenerator[tuple[str, str], None]
"""(order id, status) of all orders in order_svc, sorted by id."""

DIFFERING_MAX = 20
_REASONS_MAX = 1_000
_PAUSE_S = 0.5
# order_svc's status of an order of which it knows only an early cancellation, and has emitted no event.
_UNRECORDED = "new"
_TABLE = """
CREATE TABLE events (
    order_id TEXT, id TEXT, at TEXT, type TEXT, mail TEXT, PRIMARY KEY (order_id, id)
) WITHOUT ROWID
"""


@dataclass
class Comparison:
    """How many orders have the same status in order_svc and in the journal,
    and sentences about the first that differ.

    `older`: orders from before the oldest event that the journal has kept.
    """

    agreeing: int = 0
    older: int = 0
    differing: int = 0
    sentences: list[str] = field(default_factory=list)


class Replay:
    """The orders as of the last journal entry read; `advance` continues from there.

    `only`: keep only this order.

    Use it as `with Replay() as replay`: leaving the block deletes the database.
    """

    def __init__(self, only: str = "") -> None:
        self._only = only
        self.read = 0
        self.unread: Counter[str] = Counter()
        self.begins = ""
        self._next: int | None = None
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file without a name
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(_TABLE)

    def __enter__(self) -> "Replay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    async def advance(self, endpoints: ShopEndpoints, log: Log) -> None:
        entries = journal.with_progress(journal.read(endpoints.amqp_url(OPERATOR), self._next), log)
        async with aclosing(entries):
            async for entry in entries:
                self.take(entry)

    def take(self, entry: journal.Entry) -> None:
        self._next = entry.offset + 1
        self.read += 1
        self.begins = self.begins or entry.at
        contract = CATALOG.get(entry.wire_message.type or "")
        try:
            envelope, event = parse(entry.wire_message, CATALOG, reader=contract.OWNER if contract else "")
            event = CATALOG.upcast(event)
        except (Malformed, UpcastFailed) as error:
            self._leave_out(str(error))
            return
        if isinstance(event, Event) and (order_id := order_of(event)) and self._only in ("", order_id):
            recorded = order_event_of(envelope, event)
            row = (order_id, recorded.id, recorded.at, recorded.contract.TYPE, recorded.mail)
            self._database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)", row)

    def orders(self) -> Iterator[tuple[str, ProjectedOrder]]:
        """Every order, sorted by id."""
        rows = self._database.execute("SELECT * FROM events ORDER BY order_id, id")
        for order_id, events in groupby(rows, key=lambda row: str(row[0])):
            yield order_id, ProjectedOrder({recorded.id: recorded for recorded in map(_order_event, events)})

    def order(self, order_id: str) -> ProjectedOrder:
        rows = self._database.execute("SELECT * FROM events WHERE order_id = ?", (order_id,))
        return ProjectedOrder({recorded.id: recorded for recorded in map(_order_event, rows)})

    async def compare(self, statuses: Statuses) -> Comparison:
        """Merge the orders of both sides by id."""
        result = Comparison()
        orders = self.orders()
        recorded = next(orders, None)
        async with aclosing(statuses) as remembered:
            async for order_id, status in remembered:
                while recorded is not None and recorded[0] < order_id:
                    self._judge(result, recorded[0], recorded[1], "")
                    recorded = next(orders, None)
                if recorded is not None and recorded[0] == order_id:
                    self._judge(result, order_id, recorded[1], status)
                    recorded = next(orders, None)
                else:
                    self._judge(result, order_id, ProjectedOrder(), status)
        while recorded is not None:
            self._judge(result, recorded[0], recorded[1], "")
            recorded = next(orders, None)
        return result

    def is_older(self, order_id: str) -> bool:
        """Whether an order was placed before the oldest event in the journal, by the time in its id."""
        return bool(self.begins) and (placed := _placed_at(order_id)) is not None and placed < self.begins

    def _judge(self, result: Comparison, order_id: str, order: ProjectedOrder, remembered: str) -> None:
        recorded, remembered = order.status, remembered.replace(_UNRECORDED, "")
        if recorded == remembered:
            result.agreeing += 1
        elif not recorded and self.is_older(order_id):
            result.older += 1
        else:
            result.differing += 1
            if len(result.sentences) < DIFFERING_MAX:
                sentence = f"{remembered or 'unknown'} in order_svc, {recorded or 'unknown'} in the journal"
                result.sentences.append(f"order {order_id}: {sentence}")

    def _leave_out(self, reason: str) -> None:
        known = reason in self.unread or len(self.unread) < _REASONS_MAX
        self.unread[reason if known else "other reasons"] += 1


async def compared(replay: Replay, endpoints: ShopEndpoints, *, wait_s: float) -> Comparison:
    """Compare until everything agrees or `wait_s` is over: events are published a moment after the write."""
    end = asyncio.get_running_loop().time() + wait_s
    async with httpx.AsyncClient() as http:
        while True:
            await replay.advance(endpoints, lambda text: None)
            result = await replay.compare(
                _statuses(http, (await responding(http, endpoints.http))["order_svc"])
            )
            if not result.differing or asyncio.get_running_loop().time() > end:
                return result
            await asyncio.sleep(_PAUSE_S)


async def _statuses(http: httpx.AsyncClient, address: str) -> Statuses:
    async with aclosing(paging.pages(http, f"{address}/orders", oldest_first="true")) as orders:
        async for order in orders:
            yield order["order_id"], order["status"]


def _order_event(row: tuple[str, str, str, str, str | None]) -> OrderEvent:
    _, id_, at, type_, mail = row
    contract = CATALOG[type_]
    assert issubclass(contract, Event)
    return OrderEvent(id_, at, contract, MailKind(mail) if mail else None)


def _placed_at(order_id: str) -> str | None:
    """The time in a UUIDv7, in the format of message times; None for other UUID versions."""
    id_ = UUID(order_id)
    if id_.version != 7:
        return None
    return datetime.fromtimestamp((id_.int >> 80) / 1_000, UTC).isoformat(timespec="microseconds")

"""Orders as CSV (RFC 4180), page by page, so that any number of them takes little memory.

A spreadsheet evaluates a cell that begins like a formula. Such a cell gets an apostrophe in front, as OWASP
recommends.
"""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from chassis.backoff import Backoff
from chassis.web.http_client import UpstreamUnavailable
from contracts.http.orders import OrderSearchPage, OrderView

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
COLUMNS = (
    "order_id", "placed_at", "status", "customer_id", "pieces", "articles", "total", "currency", "reason",
    "tracking", "changed_at",
)  # fmt: skip
PAGE = 200
_TRIES_MAX = 3
# Also the full-width forms, which spreadsheets convert.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

FetchPage = Callable[[str], Awaitable[OrderSearchPage]]
"""The page of orders after a cursor. Raises UpstreamUnavailable."""


class ExportInterrupted(Exception):
    """order_svc stopped responding. The connection is closed without an end, so the download fails."""


async def csv_of(first: OrderSearchPage, fetch_page: FetchPage, pauses: Backoff) -> AsyncIterator[bytes]:
    """`pauses`: between attempts to get a page. Raises ExportInterrupted."""
    yield _lines([COLUMNS])
    page = first
    while True:
        yield _lines(map(_row, page.items))
        if page.next is None:
            return
        page = await _next_page(fetch_page, page.next, pauses)


async def _next_page(fetch_page: FetchPage, after: str, pauses: Backoff) -> OrderSearchPage:
    for _ in range(_TRIES_MAX):
        try:
            return await fetch_page(after)
        except UpstreamUnavailable:
            await pauses.pause()
    raise ExportInterrupted(f"order_svc did not respond {_TRIES_MAX} times")


def _row(order: OrderView) -> Sequence[str]:
    reason = order.cancel_reason or order.reject_reason
    return (
        str(order.order_id),
        order.placed_at.isoformat(timespec="seconds") if order.placed_at else "",
        order.status.value,
        str(order.customer_id),
        str(sum(line.quantity for line in order.lines)),
        "; ".join(f"{line.quantity} {line.sku}" for line in order.lines),
        order.total.in_major_units(),
        order.total.currency,
        reason.value if reason else "",
        order.tracking,
        order.changed_at.isoformat(timespec="seconds") if order.changed_at else "",
    )


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([without_formula(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def without_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell

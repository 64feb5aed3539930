"""Cells of an export that a spreadsheet would evaluate, and the memory that an export takes."""

import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from chassis.backoff import Backoff
from chassis.web.http_client import UpstreamUnavailable
from contracts.http.orders import OrderSearchPage, OrderStatus, OrderView
from contracts.orders import CancelReason
from contracts.values import Money, PricedLine
from journey.admin.order_csv import ExportInterrupted, csv_of, without_formula

PRICE = Money(amount_minor=1_234, currency="JPY")
LINES = tuple(
    PricedLine(sku=sku, quantity=quantity, price=PRICE) for sku, quantity in (("TEA", 2), ("CUP", 1))
)
AT = datetime(2031, 5, 6, 7, 8, 9, 123, tzinfo=UTC)
PAGES, PER_PAGE = 200, 50


def order(**changed: object) -> OrderView:
    known = {
        "order_id": uuid4(),
        "customer_id": UUID(int=7),
        "status": OrderStatus.CANCELLED,
        "awaits": [],
        "deadline_at": None,
        "lines": LINES,
        "total": PRICE,
        "cancel_reason": CancelReason.CUSTOMER,
        "reject_reason": None,
        "detail": "",
        "placed_at": AT,
        "changed_at": None,
    }
    return OrderView.model_validate(known | changed)


async def read(chunks: AsyncIterator[bytes]) -> str:
    return b"".join([chunk async for chunk in chunks]).decode()


async def no_page(after: str) -> OrderSearchPage:
    raise UpstreamUnavailable("order_svc")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+49 30", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://x","y")']
)
def test_a_cell_that_begins_like_a_formula_becomes_text(cell: str) -> None:
    assert without_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "12.34", "2 TEA; 1 CUP", "a=b", "2031-05-06T07:08:09+00:00"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert without_formula(cell) == cell


async def test_a_row_has_amounts_in_major_units_and_guarded_texts() -> None:
    cancelled = order(tracking='=cmd,"x"')
    page = OrderSearchPage(items=[cancelled], next=None, complete=True)
    header, row, end = (await read(csv_of(page, no_page, Backoff(0, 0)))).split("\r\n")
    assert header.startswith("order_id,placed_at,status,")
    assert row == (
        f"{cancelled.order_id},2031-05-06T07:08:09+00:00,cancelled,{UUID(int=7)},3,2 TEA; 1 CUP,1234,JPY,"
        """customer,"'=cmd,""x""\","""
    )
    assert end == ""


async def test_a_page_is_requested_again_before_the_export_gives_up() -> None:
    attempts = []

    async def second_time(after: str) -> OrderSearchPage:
        attempts.append(after)
        if len(attempts) == 1:
            raise UpstreamUnavailable("order_svc")
        return OrderSearchPage(items=[order()], next=None, complete=True)

    first = OrderSearchPage(items=[order()], next="cursor", complete=True)
    assert (await read(csv_of(first, second_time, Backoff(0, 0)))).count("\r\n") == 3
    assert attempts == ["cursor", "cursor"]
    with pytest.raises(ExportInterrupted):
        await read(csv_of(first, no_page, Backoff(0, 0)))


async def test_an_export_takes_no_more_memory_for_more_orders() -> None:
    items = [order() for _ in range(PER_PAGE)]

    async def numbered(after: str) -> OrderSearchPage:
        following = str(int(after) + 1) if int(after) < PAGES else None
        return OrderSearchPage(items=items, next=following, complete=True)

    longest, rows = 0, 0
    chunks = csv_of(await numbered("0"), numbered, Backoff(0, 0))
    tracemalloc.start()
    async for chunk in chunks:
        longest, rows = max(longest, len(chunk)), rows + chunk.count(b"\r\n")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 1 + PER_PAGE * (PAGES + 1)
    assert peak < 50 * longest

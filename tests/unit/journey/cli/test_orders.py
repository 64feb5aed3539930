"""`journey orders --csv`: the export of the page, at a terminal."""

import io
from collections.abc import Callable
from uuid import UUID

import httpx
import pytest

from contracts.http.orders import OrderSearchPage, OrderStatus, OrderView
from contracts.values import Money
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.order_csv import COLUMNS
from journey.cli import orders
from journey.cli.console import UsageError

Respond = Callable[[httpx.Request], httpx.Response]


def order(number: int, tracking: str = "") -> OrderView:
    return OrderView(
        order_id=UUID(int=number),
        customer_id=UUID(int=7),
        status=OrderStatus.DISPATCHED,
        awaits=[],
        deadline_at=None,
        lines=(),
        total=Money(amount_minor=2_990, currency="EUR"),
        cancel_reason=None,
        reject_reason=None,
        detail="",
        placed_at=None,
        tracking=tracking,
        changed_at=None,
    )


def page(*items: OrderView, after: str | None = None, complete: bool = True) -> httpx.Response:
    found = OrderSearchPage(items=list(items), next=after, complete=complete)
    return httpx.Response(200, content=found.model_dump_json())


async def exported(respond: Respond) -> bytes:
    out = io.BytesIO()
    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        await orders.export(http, "http://order_svc", {"sku": "TEA"}, out)
    return out.getvalue()


async def test_all_pages_are_written_with_the_columns_of_the_page() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/orders/search" and request.url.params["sku"] == "TEA"
        return page(order(2)) if request.url.params.get("after") else page(order(1), after="cursor")

    header, first, second, end = (await exported(respond)).decode().split("\r\n")
    assert header == ",".join(COLUMNS) and end == ""
    assert first.startswith(str(UUID(int=1))) and second.startswith(str(UUID(int=2)))
    assert ",29.90,EUR," in first


async def test_a_cell_that_begins_like_a_formula_is_text() -> None:
    assert b",'=1+1," in await exported(lambda _: page(order(1, tracking="=1+1")))


async def test_an_incomplete_list_is_not_exported() -> None:
    with pytest.raises(InfrastructureUnavailable, match="nothing was exported"):
        await exported(lambda _: page(order(1), complete=False))


async def test_an_interrupted_export_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "_PAUSE_S", 0.0)
    monkeypatch.setattr(orders, "_PAUSE_S_MAX", 0.0)
    respond: Respond = lambda request: (  # noqa: E731
        httpx.Response(503) if "after" in request.url.params else page(order(1), after="cursor")
    )
    with pytest.raises(InfrastructureUnavailable, match="not complete"):
        await exported(respond)


async def test_a_refused_query_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="sku"):
        await exported(lambda _: httpx.Response(422, json={"detail": "sku: too long"}))

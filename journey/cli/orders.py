"""`journey orders`: search the orders of the shop."""

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, BinaryIO
from uuid import UUID

import httpx
import typer

from chassis.backoff import Backoff
from chassis.web.http_client import UpstreamUnavailable
from contracts.http.orders import OrderSearchPage, OrderStatus, OrderView
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import responding
from journey.admin.order_csv import PAGE, ExportInterrupted, csv_of
from journey.cli.console import UsageError, console, run, shop_endpoints

_PAUSE_S, _PAUSE_S_MAX = 0.5, 5.0
orders_app = typer.Typer()


@orders_app.command()
def orders(
    number: Annotated[str, typer.Option(help="the last digits of the id, at least four")] = "",
    customer: Annotated[UUID | None, typer.Option(help="customer id")] = None,
    status: Annotated[OrderStatus | None, typer.Option(help="the order's status")] = None,
    sku: Annotated[str, typer.Option(help="an article that was ordered")] = "",
    placed_from: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day, in UTC")
    ] = None,
    placed_until: Annotated[
        datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="the last day, in UTC")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="list at most so many")] = 20,
    csv: Annotated[
        bool, typer.Option("--csv", help="write all that match as CSV, as the page exports them")
    ] = False,
) -> None:
    """List the orders that match all options, those that were placed last first."""
    given = {
        "number": number,
        "customer_id": customer,
        "status": status and status.value,
        "sku": sku,
        "placed_from": placed_from and placed_from.date(),
        "placed_until": placed_until and placed_until.date(),
    }
    query = {name: str(value) for name, value in given.items() if value}

    async def go() -> None:
        async with httpx.AsyncClient() as http:
            address = (await responding(http, shop_endpoints().http))["order_svc"]
            if csv:
                await export(http, address, query, sys.stdout.buffer)
                return
            page = await _page(http, address, query | {"limit": str(limit)})
        for order in page.items:
            console.print(_line(order))
        if not page.items:
            console.print("no order matches")
        elif page.next:
            console.print("[dim]there are more: --limit, or --until an earlier day")
        if not page.complete:
            console.print(
                "[yellow]orders of an earlier version are still prepared; there may be more in a minute"
            )

    run(go())


async def export(http: httpx.AsyncClient, address: str, query: Mapping[str, str], to: BinaryIO) -> None:
    """Write all orders that match, a page at a time. An incomplete list is not exported.

    Raises UsageError, InfrastructureUnavailable, or httpx.HTTPError if not even the first page can be read.
    """

    async def page_after(after: str) -> OrderSearchPage:
        try:
            return await _page(http, address, {**query, "after": after, "limit": str(PAGE)})
        except httpx.HTTPError as error:
            raise UpstreamUnavailable("order_svc") from error

    first = await _page(http, address, {**query, "limit": str(PAGE)})
    if not first.complete:
        raise InfrastructureUnavailable(
            "nothing was exported: orders of an earlier version are still prepared", "try again in a minute"
        )
    try:
        async for lines in csv_of(first, page_after, Backoff(_PAUSE_S, _PAUSE_S_MAX)):
            to.write(lines)
    except ExportInterrupted as error:
        raise InfrastructureUnavailable(f"the export is not complete: {error}", "repeat it") from None
    to.flush()


async def _page(http: httpx.AsyncClient, address: str, query: Mapping[str, str]) -> OrderSearchPage:
    """Raises UsageError if order_svc refuses the query, or httpx.HTTPError."""
    response = await http.get(f"{address}/orders/search", params=query)
    if response.status_code == 422:
        raise UsageError(response.json()["detail"])
    return OrderSearchPage.model_validate_json(response.raise_for_status().content)


def _line(order: OrderView) -> str:
    at = f"{order.placed_at:%Y-%m-%d %H:%M}" if order.placed_at else "at an unknown time"
    articles = ", ".join(f"{line.quantity} {line.sku}" for line in order.lines)
    return f"{order.order_id}  {at}  {order.status.value:<15} {order.total!s:>14}  {articles}"

"""`journey orders`: search the orders of the shop."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import httpx
import typer

from contracts.http.orders import OrderSearchPage, OrderStatus, OrderView
from journey.admin.instances import responding
from journey.cli.console import UsageError, console, run, shop_endpoints

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
    query = {name: str(value) for name, value in given.items() if value} | {"limit": str(limit)}

    async def go() -> None:
        async with httpx.AsyncClient() as http:
            address = (await responding(http, shop_endpoints().http))["order_svc"]
            response = await http.get(f"{address}/orders/search", params=query)
        if response.status_code == 422:
            raise UsageError(response.json()["detail"])
        page = OrderSearchPage.model_validate_json(response.raise_for_status().content)
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


def _line(order: OrderView) -> str:
    at = f"{order.placed_at:%Y-%m-%d %H:%M}" if order.placed_at else "at an unknown time"
    articles = ", ".join(f"{line.quantity} {line.sku}" for line in order.lines)
    return f"{order.order_id}  {at}  {order.status.value:<15} {order.total!s:>14}  {articles}"

"""`journey stock`, `receive` and `correct`: the stock of the articles."""

from typing import Annotated

import httpx
import typer

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from contracts import inventory
from contracts.http.inventory import LOW_STOCK_MAX
from contracts.inventory import CorrectionReason
from journey.admin.instances import responding
from journey.cli.arguments import checked
from journey.cli.console import console, run, shop_endpoints
from journey.cli.sending import GivenId, send_once

stock_app = typer.Typer()


@stock_app.command()
def receive(sku: str, quantity: int, id_: GivenId = None) -> None:
    """Add received goods to the stock of an article."""
    receipt_id = id_ or new_id()
    command = checked(inventory.ReceiveStock, receipt_id=receipt_id, sku=sku, quantity=quantity)
    run(send_once(OPERATOR, command, receipt_id))


@stock_app.command()
def correct(
    sku: str,
    by: Annotated[int, typer.Option(help="pieces to add, or with a minus sign to remove: --by=-2")],
    reason: Annotated[CorrectionReason, typer.Option(help="a count, or damaged pieces")],
    id_: GivenId = None,
) -> None:
    """Correct the stock of an article. Reserved and sold pieces stay."""
    correction_id = id_ or new_id()
    command = checked(inventory.CorrectStock, correction_id=correction_id, sku=sku, change=by, reason=reason)
    run(send_once(OPERATOR, command, correction_id))


@stock_app.command()
def stock(
    low: Annotated[
        int | None,
        typer.Option(min=0, max=LOW_STOCK_MAX, help="only articles with at most so many available"),
    ] = None,
) -> None:
    """Show the stock of every article."""

    async def go() -> None:
        chosen = {"limit": 100} | ({} if low is None else {"available_max": low})
        async with httpx.AsyncClient() as http:
            address = (await responding(http, shop_endpoints().http))["inventory_svc"]
            response = await http.get(f"{address}/stock", params=chosen)
        response.raise_for_status()
        for shelf in response.json()["items"]:
            console.print(
                f"{shelf['sku']:<20} {shelf['available']:>8} available {shelf['reserved']:>6} reserved"
                f" {shelf['sold']:>6} sold {shelf['received']:>8} received"
            )

    run(go())

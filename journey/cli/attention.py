"""`journey attention` and `journey refund`: payments that need staff, and what staff decide about them."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer

from chassis.clock import utc_now
from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from contracts import orders, payments
from contracts.http.orders import OrderView
from contracts.http.payments import PaymentView
from contracts.payments import SettlementReason
from contracts.values import Money, ReturnedLine, ReturnTo, parse_amount
from journey.admin.instances import responding
from journey.admin.paging import pages
from journey.admin.text_sanitizer import plain
from journey.cli.arguments import checked, order_line
from journey.cli.console import UsageError, console, run, shop_endpoints
from journey.cli.sending import GivenId, send_command, send_once

attention_app = typer.Typer(
    name="attention", help="Decide about an order whose payment needs staff.", no_args_is_help=True
)
refund_app = typer.Typer()
_OUTSIDE = "settled outside: no money moves here; give back outside what the customer paid"
Staff = Annotated[UUID, typer.Option("--by", help="user id of the staff member who decides")]


@attention_app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="list at most so many")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the payments that need staff, those of the orders placed first first: they wait longest."""

    async def go() -> None:
        found: list[PaymentView] = []
        async with httpx.AsyncClient() as http:
            address = (await responding(http, shop_endpoints().http))["payment_svc"]
            async with aclosing(needing_staff(http, address)) as payments_:
                async for payment in payments_:
                    found.append(payment)
                    if len(found) > limit:
                        break
        shown = found[:limit]
        if as_json:
            typer.echo(json.dumps([payment.model_dump(mode="json") for payment in shown], indent=2))
            return
        for payment in shown:
            console.print(line(payment), markup=False)
        if len(found) > limit:
            console.print("[dim]there are more: --limit")
        console.print(
            "`journey attention show ORDER` says what staff can do" if shown else "no payment needs staff"
        )

    run(go())


@attention_app.command()
def show(order: UUID) -> None:
    """Show the payment of an order, and what staff can do about it."""

    async def go() -> None:
        payment = await _payment(order)
        detail = f": {plain(payment.detail)}" if payment.detail else ""
        console.print(f"{payment.status}, {payment.total}{detail}", markup=False)
        for settlement in payment.settlements:
            console.print(f"  settled outside: {settlement}", markup=False)
        if payment.settled_outside:
            console.print(f"  a refund books pieces only; {_OUTSIDE}")
        for refund in payment.refunds:
            console.print(f"  refund of {refund.amount}{refund.progress}")
        if payment.may_retry:
            console.print(f"  `journey attention retry {order} --by STAFF` asks the card provider again")
        if payment.release_unclear:
            console.print("  the release of the card is unclear: settle it with --reason released")
        if any(refund.unclear for refund in payment.refunds):
            console.print(
                "  a refund is unclear: --reason released ends it as not carried out, without a mail"
            )
        if payment.unresolved:
            console.print(f"  `journey attention cancel {order} --by STAFF` if it has not been dispatched")
        if payment.needs_staff:
            console.print(f"  `journey attention settle {order} --by STAFF --help` if it is settled outside")

    run(go())


@attention_app.command()
def retry(order: UUID, by: Staff) -> None:
    """Ask the card provider again: for a capture that failed, or a void or refund that it did not answer."""
    run(_decide(order, checked(payments.RetryPayment, order_id=order, staff_id=by)))


@attention_app.command()
def cancel(order: UUID, by: Staff) -> None:
    """Cancel an order that needs attention and has not been dispatched. Its payment is voided."""
    run(_decide(order, checked(orders.CancelAsStaff, order_id=order, staff_id=by)))


@attention_app.command()
def settle(
    order: UUID,
    by: Staff,
    reason: Annotated[SettlementReason, typer.Option(help="what happened to the money")],
    reference: Annotated[str, typer.Option(help="number of the transfer, receipt or transaction")],
    amount: Annotated[str, typer.Option(help="in the currency of the order, e.g. 29.90")] = "0",
) -> None:
    """Mark a payment as settled outside the shop's requests to the card provider."""

    async def go() -> None:
        money = _money(amount, (await _payment(order)).total.currency)
        settlement = checked(payments.Settlement, reason=reason, amount=money, reference=reference)
        await send_command(
            OPERATOR, payments.SettlePayment(order_id=order, staff_id=by, settlement=settlement)
        )

    run(go())


@refund_app.command()
def refund(
    order: UUID,
    by: Staff,
    amount: Annotated[
        str, typer.Option(help="in the currency of the order, e.g. 29.90; else the price of the pieces")
    ] = "",
    to_stock: Annotated[
        list[str] | None, typer.Option(help="SKU=QUANTITY of pieces that come back to the stock")
    ] = None,
    written_off: Annotated[
        list[str] | None, typer.Option(help="SKU=QUANTITY of pieces that are damaged, lost or kept")
    ] = None,
    id_: GivenId = None,
) -> None:
    """Refund a part of an order that has been dispatched: an amount, or pieces that were in the parcel."""

    async def go() -> None:
        returned = (*_returned(to_stock, ReturnTo.STOCK), *_returned(written_off, ReturnTo.WRITTEN_OFF))
        if not returned and not amount:
            raise UsageError("give an --amount, or pieces with --to-stock or --written-off SKU=QUANTITY")
        payment = await _payment(order)
        if payment.settled_outside and not returned:
            raise UsageError(
                "the payment was settled outside: give the amount back there; a refund here is for pieces, "
                "with --to-stock or --written-off"
            )
        if payment.settled_outside:
            console.print(_OUTSIDE)
        price = await _price(order, returned, repeated=id_ is not None) if returned else None
        money = price if price and not amount else _money(amount, payment.total.currency)
        refund_id = id_ or new_id()
        command = checked(
            orders.RefundOrder,
            order_id=order,
            refund_id=refund_id,
            staff_id=by,
            amount=money,
            returned=returned,
        )
        await send_once(OPERATOR, command, refund_id)

    run(go())


async def needing_staff(http: httpx.AsyncClient, address: str) -> AsyncGenerator[PaymentView, None]:
    """Raises httpx.HTTPError."""
    # payment_svc of an earlier release ignores `needs_staff` and returns all payments
    listed = pages(http, f"{address}/payments", needs_staff="true", oldest_first="true")
    async with aclosing(listed) as items:
        async for item in items:
            if (payment := PaymentView.model_validate(item)).needs_staff:
                yield payment


def line(payment: PaymentView) -> str:
    at = f"{payment.changed_at:%Y-%m-%d %H:%M}" if payment.changed_at else "at an unknown time"
    status = f"{payment.status}{', release unclear' if payment.release_unclear else ''}"
    return f"{payment.order_id}  {at}  {status:<20} {payment.total!s:>14}  {plain(payment.detail)}".rstrip()


def _returned(lines: list[str] | None, to: ReturnTo) -> tuple[ReturnedLine, ...]:
    """Raises UsageError."""
    parsed = map(order_line, lines or ())
    return tuple(ReturnedLine(sku=line.sku, quantity=line.quantity, to=to) for line in parsed)


async def _price(order_id: UUID, returned: tuple[ReturnedLine, ...], *, repeated: bool) -> Money:
    """What the customer paid for these pieces. Raises UsageError, also if they can no longer come back.

    A repeated command may have arrived in time, so order_svc decides about it: a new refund without the
    pieces would be a second one.
    """
    found = await _read("order_svc", f"/orders/{order_id}")
    if found is None:
        raise UsageError(f"there is no order {order_id}; `journey orders` lists orders")
    order = OrderView.model_validate(found)
    known = [line.sku for line in order.lines]
    if other := next((line.sku for line in returned if line.sku not in known), None):
        raise UsageError(f"{other} is not in the order; it has {', '.join(known)}")
    if not repeated and order.return_window_ended(utc_now()):
        raise UsageError(
            f"pieces could come back until {order.returnable_until:%Y-%m-%d %H:%M} UTC; refund an --amount "
            "without them, and correct the stock with `journey correct`"
        )
    return order.price_of(returned)


def _money(amount: str, currency: str) -> Money:
    """Raises UsageError."""
    amount_minor = parse_amount(amount, currency)
    if amount_minor is None:
        raise UsageError(f"amount: {amount!r} is not an amount in {currency}, e.g. 29.90")
    return checked(Money, amount_minor=amount_minor, currency=currency)


async def _decide(order: UUID, command: Command) -> None:
    await _payment(order)
    await send_command(OPERATOR, command)


async def _payment(order: UUID) -> PaymentView:
    """Raises UsageError if payment_svc knows no payment of this order."""
    found = await _read("payment_svc", f"/payments/{order}")
    if found is None:
        raise UsageError(f"there is no payment for order {order}; `journey explain {order}`")
    return PaymentView.model_validate(found)


async def _read(service: str, path: str) -> Any:
    """A service's response body; None if it does not exist."""
    async with httpx.AsyncClient() as http:
        address = (await responding(http, shop_endpoints().http))[service]
        response = await http.get(f"{address}{path}")
    return None if response.status_code == httpx.codes.NOT_FOUND else response.raise_for_status().json()

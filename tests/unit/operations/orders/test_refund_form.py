"""Staff refund a part of an order on the page of its payment: an amount, or pieces that come back.

Each refund is sent once, and audited.
"""

from uuid import UUID

import httpx
import pytest

from chassis.messaging.identity import new_id
from chassis.store.protocol import Change
from contracts import orders
from contracts.values import Money, ReturnedLine, ReturnTo
from tests.support.shops.operations import ADA, OperationsApp, hidden
from tests.unit.operations.orders.test_attention import decided

SKU, PRICE = "KETTLE-BLUE", "29.90 EUR"


async def shelf(operations_app: OperationsApp) -> dict[str, int]:
    services = httpx.AsyncClient(transport=operations_app.services)
    found: dict[str, int] = (await services.get(f"http://inventory_svc/stock/{SKU}")).json()
    return found


async def dispatched(operations_app: OperationsApp, pieces: int = 1) -> str:
    """The path of the payment of a dispatched order."""
    await operations_app.stocked()
    order_id = await operations_app.ordered(quantity=pieces)
    await operations_app.send_command(orders.DispatchOrder(order_id=order_id))
    return f"/ops/orders/{order_id}/payment"


async def test_refunds_of_parts_count_once_and_never_exceed_the_total(operations_app: OperationsApp) -> None:
    path = await dispatched(operations_app)
    form = hidden(await operations_app.page(path)) | {"amount": "20.00"}
    for _ in range(2):
        page = await decided(operations_app, f"{path}/refunds", **form)
    assert page.count("</a> PaymentPartRefunded</h3>") == 1
    again = await operations_app.page(path)
    assert "9.90 EUR are left to refund" in again and ">20.00 EUR</dd>" in again
    page = await decided(operations_app, f"{path}/refunds", **(hidden(again) | {"amount": "10"}))
    assert "only 9.90 EUR of 29.90 EUR are left to refund" in page
    assert operations_app.broker.entries[-1].type == orders.RefundOrder.TYPE


@pytest.mark.parametrize("has_id", [True, False])
async def test_an_unconfirmed_refund_is_repeated_under_its_id(
    operations_app: OperationsApp, has_id: bool
) -> None:
    """The broker has it, so a new id would refund the amount again."""
    path = await dispatched(operations_app)
    form = {"amount": "5.00"} | (hidden(await operations_app.page(path)) if has_id else {"refund_id": ""})
    operations_app.broker.confirms_nothing = True
    shown = (await operations_app.send(f"{path}/refunds", 503, **form)).text
    assert "It is unknown whether it was sent" in shown and 'value="5.00"' in shown
    assert "send this form again, and it counts once" in shown
    operations_app.broker.confirms_nothing = False
    page = await decided(operations_app, f"{path}/refunds", **(hidden(shown) | {"amount": "5.00"}))
    assert page.count("</a> PaymentPartRefunded</h3>") == 1
    assert "24.90 EUR are left to refund" in await operations_app.page(path)


@pytest.mark.parametrize("amount", ["", "0", "-1", "1.234", "9" * 14])
async def test_an_invalid_refund_names_the_field(operations_app: OperationsApp, amount: str) -> None:
    path = await dispatched(operations_app)
    response = await operations_app.send(f"{path}/refunds", 422, amount=amount, refund_id="")
    assert '<a href="#amount">' in response.text
    await operations_app.send(f"{path}/refunds", 422, amount="1", refund_id="no id")
    assert operations_app.broker.entries[-1].type != orders.RefundOrder.TYPE


async def test_before_the_dispatch_order_svc_refuses_a_refund(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    path = f"/ops/orders/{await operations_app.ordered()}/payment"
    assert "RefundNotPossible" in await decided(operations_app, f"{path}/refunds", amount="1", refund_id="")


async def test_pieces_return_to_the_stock_or_are_written_off(operations_app: OperationsApp) -> None:
    """Without an amount their price is refunded, and each piece once."""
    path, before = await dispatched(operations_app, pieces=3), await shelf(operations_app)
    page = await operations_app.page(path)
    assert f"3 of 3 not refunded yet, {PRICE} each" in page and 'max="3"' in page
    form = hidden(page) | {f"stock-{SKU}": "1", f"written-off-{SKU}": "1"}
    for _ in range(2):
        page = await decided(operations_app, f"{path}/refunds", **form)
    for name in ("PaymentPartRefunded", "GoodsReturned", "StockReturned"):
        assert page.count(f"</a> {name}</h3>") == 1, name
    assert f"1 × {SKU} back to the stock, 1 × {SKU} written off" in page
    after = await shelf(operations_app)
    assert {name: after[name] - before[name] for name in ("available", "sold", "received")} == {
        "available": 1,
        "sold": -2,
        "received": -1,
    }
    again = await operations_app.page(path)
    assert "1 of 3 not refunded yet" in again
    entry = operations_app.broker.entries[-1]
    assert (entry.type, entry.by) == (orders.RefundOrder.TYPE, str(ADA))


async def test_pieces_of_a_settled_payment_return_without_money(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    order_id = await operations_app.ordered(quantity=2, card="tok_capture_refused")
    path = f"/ops/orders/{order_id}/payment"
    settlement = {"reason": "paid", "amount": "59.80", "reference": "BANK-1"}
    await decided(operations_app, f"{path}/settle", **settlement)
    page = await operations_app.page(path)
    assert "Pieces of a dispatched order can come back here" in page and f"stock-{SKU}" not in page
    await operations_app.send_command(orders.DispatchOrder(order_id=order_id))
    before, page = await shelf(operations_app), await operations_app.page(path)
    assert "so no money moves here" in page and "Refund a part" not in page
    assert "Pieces can come back until" in page and "an amount alone" not in page
    form = hidden(page)
    wrong = (await operations_app.send(f"{path}/refunds", 422, **(form | {"amount": "5"}))).text
    assert "The payment was settled outside: give an amount back there." in wrong
    for _ in range(2):
        page = await decided(operations_app, f"{path}/refunds", **(form | {f"stock-{SKU}": "1"}))
    for name in ("RefundRefused", "GoodsReturned", "StockReturned"):
        assert page.count(f"</a> {name}</h3>") == 1, name
    assert "PaymentPartRefunded" not in page
    assert "settled outside: no money moved here; give back outside what the customer paid" in page
    after = await shelf(operations_app)
    assert (after["available"] - before["available"], after["sold"] - before["sold"]) == (1, -1)
    assert "1 of 2 not refunded yet" in await operations_app.page(path)
    await dispatched_long_ago(operations_app, path)
    late = await operations_app.page(path)
    assert "correct the stock for what came back" in late and f"stock-{SKU}" not in late
    again = hidden(page) | {"refund_id": "", f"stock-{SKU}": "1"}
    refused = (await operations_app.send(f"{path}/refunds", 422, **again)).text
    assert "Give the amount back without them" in refused
    operations_app.services.away.add("order_svc")
    assert "but order_svc does not respond" in await operations_app.page(path)


async def dispatched_long_ago(operations_app: OperationsApp, path: str) -> None:
    """Change the time of the order's dispatch: its return window has ended."""
    order_id, store = path.split("/")[3], operations_app.runtimes["order_svc"].store
    [loaded] = (await store.load("orders", [order_id])).values()
    assert loaded.state is not None and loaded.state["dispatched_at"] is not None
    assert await store.save([Change(loaded, {**loaded.state, "dispatched_at": "2026-01-02T10:00:00Z"})])


async def test_after_the_return_window_only_an_amount_is_refunded(operations_app: OperationsApp) -> None:
    path = await dispatched(operations_app)
    page = await operations_app.page(path)
    assert "Pieces can come back until" in page and "an amount alone can be refunded later" in page
    form = hidden(page) | {f"stock-{SKU}": "1"}
    await dispatched_long_ago(operations_app, path)
    response = await operations_app.send(f"{path}/refunds", 422, **form)
    assert '<a href="#amount">' in response.text and 'id="amount-wrong"' in response.text
    assert (
        "Pieces could come back until 2026-02-01 10:00 UTC. Give the amount back without them"
        in response.text
    )
    assert f"stock-{SKU}" not in response.text and "Correct the stock" in response.text
    assert operations_app.broker.entries[-1].type != orders.RefundOrder.TYPE
    page = await decided(operations_app, f"{path}/refunds", **hidden(response.text), amount="10")
    assert "PaymentPartRefunded" in page and "GoodsReturned" not in page


async def test_order_svc_refuses_pieces_after_the_return_window(operations_app: OperationsApp) -> None:
    """Whatever a page shows: the messages of the order name the reason and the remedy."""
    path = await dispatched(operations_app)
    await dispatched_long_ago(operations_app, path)
    order_id = UUID(path.split("/")[3])
    await operations_app.send_command(
        orders.RefundOrder(
            order_id=order_id,
            refund_id=new_id(),
            staff_id=ADA,
            amount=Money(amount_minor=100, currency="EUR"),
            returned=(ReturnedLine(sku=SKU, quantity=1, to=ReturnTo.STOCK),),
        )
    )
    page = await operations_app.page(f"/ops/orders/{order_id}")
    assert "</a> RefundNotPossible</h3>" in page and "return_window_ended" in page
    assert "give the amount back without them, and correct the stock" in page


async def test_staff_may_lower_the_amount(operations_app: OperationsApp) -> None:
    path = await dispatched(operations_app)
    form = hidden(await operations_app.page(path)) | {f"stock-{SKU}": "1", "amount": "10"}
    page = await decided(operations_app, f"{path}/refunds", **form)
    assert "10.00 EUR for 1 ×" in page and "GoodsReturned" in page
    page = await operations_app.page(path)
    assert "All are refunded." in page and "price of the pieces" not in page


@pytest.mark.parametrize(
    ("fields", "wrong", "hint"),
    [
        ({f"stock-{SKU}": "3"}, f"stock-{SKU}", "enter at most 2"),
        ({f"stock-{SKU}": "1", f"written-off-{SKU}": "2"}, f"written-off-{SKU}", "enter at most 1"),
        ({f"stock-{SKU}": "-1"}, f"stock-{SKU}", "whole number"),
        ({f"stock-{SKU}": "one"}, f"stock-{SKU}", "whole number"),
        ({f"stock-{SKU}": "1", "amount": "29.91"}, "amount", "Enter at most 29.90 EUR"),
        ({f"stock-{SKU}": "1", "amount": "0"}, "amount", "above 0"),
        ({f"stock-{SKU}": "0"}, "amount", "number of pieces"),
    ],
)
async def test_pieces_that_cannot_be_refunded_name_the_field(
    operations_app: OperationsApp, fields: dict[str, str], wrong: str, hint: str
) -> None:
    path = await dispatched(operations_app, pieces=2)
    response = await operations_app.send(f"{path}/refunds", 422, refund_id="", **fields)
    assert f'<a href="#{wrong}">' in response.text and f'id="{wrong}-wrong"' in response.text
    assert hint in response.text
    assert operations_app.broker.entries[-1].type != orders.RefundOrder.TYPE


async def test_no_more_than_is_left_is_refunded_for_pieces(operations_app: OperationsApp) -> None:
    path = await dispatched(operations_app)
    form = hidden(await operations_app.page(path)) | {"amount": "20.00"}
    await decided(operations_app, f"{path}/refunds", **form)
    fields = {f"stock-{SKU}": "1", "refund_id": ""}
    response = await operations_app.send(f"{path}/refunds", 422, **fields)
    assert "Enter at most 9.90 EUR: no more is left to refund." in response.text


async def test_without_order_svc_only_an_amount_is_refunded(operations_app: OperationsApp) -> None:
    path = await dispatched(operations_app)
    operations_app.services.away.add("order_svc")
    page = await operations_app.page(path)
    assert "order_svc does not respond" in page and f"stock-{SKU}" not in page
    response = await operations_app.send(f"{path}/refunds", 503, refund_id="", **{f"stock-{SKU}": "1"})
    assert "Nothing was sent" in response.text
    await operations_app.send(f"{path}/refunds", refund_id="", amount="1")
    assert operations_app.broker.entries[-1].type == orders.RefundOrder.TYPE


async def test_before_the_dispatch_the_form_has_no_pieces(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    page = await operations_app.page(f"/ops/orders/{await operations_app.ordered()}/payment")
    assert "Refund a part" in page and f"stock-{SKU}" not in page

"""Staff decide about an order whose payment failed: each command is sent once, and audited."""

import json
import re
from uuid import UUID

import pytest

from chassis.messaging.identity import new_id
from contracts import orders, payments
from operations.orders import attention_pages
from tests.support.shops.operations import ADA, OperationsApp


async def needing_attention(operations_app: OperationsApp, card: str = "tok_capture_refused") -> UUID:
    await operations_app.stocked()
    order_id = await operations_app.ordered(card=card)
    assert "Decide about the payment" in await operations_app.page(f"/ops/orders/{order_id}")
    return order_id


async def decided(operations_app: OperationsApp, path: str, **fields: str) -> str:
    """The page after the command."""
    response = await operations_app.send(path, **fields)
    await operations_app.quiet()
    return await operations_app.page(response.headers["location"])


async def test_a_repeated_capture_confirms_the_order(operations_app: OperationsApp) -> None:
    order_id = await needing_attention(operations_app, "tok_capture_refused_once")
    path = f"/ops/orders/{order_id}/payment"
    assert "Repeat the request" in await operations_app.page(path)
    page = await decided(operations_app, f"{path}/retry")
    for name in ("RetryPayment", "PaymentCaptured", "PaymentResolved", "OrderResolved"):
        assert f"</a> {name}</h3>" in page, name
    assert "needs attention → confirmed" in page
    assert "Refund a part" in await operations_app.page(path)
    entry = operations_app.broker.entries[-1]
    assert (entry.type, entry.by, entry.journey_id) == (payments.RetryPayment.TYPE, str(ADA), str(order_id))


async def test_staff_cancel_an_order_and_its_payment_is_voided(operations_app: OperationsApp) -> None:
    order_id = await needing_attention(operations_app)
    page = await decided(operations_app, f"/ops/orders/{order_id}/cancel")
    for name in ("CancelAsStaff", "OrderCancelled", "StockReleased", "PaymentVoided"):
        assert f"</a> {name}</h3>" in page, name
    assert operations_app.broker.entries[-1].type == orders.CancelAsStaff.TYPE


async def test_a_settlement_shows_its_reason_and_reference(operations_app: OperationsApp) -> None:
    order_id = await needing_attention(operations_app)
    path = f"/ops/orders/{order_id}/payment"
    page = await decided(
        operations_app, f"{path}/settle", reason="paid", amount="29,90", reference="BANK-2026-0815"
    )
    assert "needs attention → confirmed" in page and "The settlement was sent" in page
    shown = await operations_app.page(path)
    assert "paid: 29.90 EUR, BANK-2026-0815" in shown
    assert str(ADA) in page, "the event names who settled it"
    assert operations_app.broker.entries[-1].type == payments.SettlePayment.TYPE


async def test_a_settlement_that_does_not_balance_is_refused(operations_app: OperationsApp) -> None:
    order_id = await needing_attention(operations_app)
    settled = {"reason": "paid", "amount": "10", "reference": "BANK-1"}
    page = await decided(operations_app, f"/ops/orders/{order_id}/payment/settle", **settled)
    assert "29.90 EUR must be paid or written off" in page and "ResolutionRefused" in page


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"reason": "lost", "amount": "1", "reference": "BANK-1"}, "reason"),
        ({"reason": "paid", "amount": "1.234", "reference": "BANK-1"}, "amount"),
        ({"reason": "paid", "amount": "-1", "reference": "BANK-1"}, "amount"),
        ({"reason": "paid", "amount": "9" * 14, "reference": "BANK-1"}, "amount"),
        ({"reason": "paid", "amount": "1", "reference": "<b>"}, "reference"),
        ({"reason": "paid", "amount": "1"}, "reference"),
    ],
)
async def test_an_invalid_settlement_names_the_field(
    operations_app: OperationsApp, form: dict[str, str], field: str
) -> None:
    order_id = await needing_attention(operations_app)
    response = await operations_app.send(f"/ops/orders/{order_id}/payment/settle", 422, **form)
    assert f'<a href="#{field}">' in response.text and f'id="{field}-wrong"' in response.text
    assert not re.search("<b>", response.text)
    assert operations_app.broker.entries[-1].type != payments.SettlePayment.TYPE


async def test_an_order_without_a_payment_has_no_such_page(operations_app: OperationsApp) -> None:
    path = f"/ops/orders/{new_id()}/payment"
    assert "no payment" in await operations_app.page(path, 404)
    assert "no payment" in (await operations_app.send(f"{path}/settle", 404)).text
    assert "no payment" in (await operations_app.send(f"{path}/retry", 404)).text


async def test_payment_svc_that_does_not_respond_is_named(operations_app: OperationsApp) -> None:
    order_id = await needing_attention(operations_app)
    operations_app.services.away.add("payment_svc")
    assert "payment_svc does not respond" in await operations_app.page(f"/ops/orders/{order_id}/payment", 503)


def listed(page: str) -> list[str]:
    """The ids of the orders in the table."""
    return re.findall(r'<th scope="row"><a class="mono" href="/ops/orders/([0-9a-f-]+)">', page)


async def test_payments_that_need_staff_are_listed_until_they_are_settled(
    operations_app: OperationsApp,
) -> None:
    assert "No payment needs staff." in await operations_app.page("/ops/payments")
    first = await needing_attention(operations_app)
    await operations_app.ordered()
    second = await operations_app.ordered(card="tok_capture_refused")
    page = await operations_app.page("/ops/payments")
    assert listed(page) == [str(first), str(second)]
    assert f'href="/ops/orders/{first}/payment"' in page and "Repeat or settle" in page
    assert "the capture failed" in page
    settlement = {"reason": "paid", "amount": "29.90", "reference": "BANK-1"}
    await decided(operations_app, f"/ops/orders/{first}/payment/settle", **settlement)
    assert listed(await operations_app.page("/ops/payments")) == [str(second)]


@pytest.mark.parametrize("path", ["/ops/orders", "/ops/stuck"])
async def test_the_lists_of_orders_lead_to_the_payments(operations_app: OperationsApp, path: str) -> None:
    assert 'href="/ops/payments"' in await operations_app.page(path)


async def test_the_list_of_payments_goes_on_with_later_orders(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_pages, "_ON_A_PAGE", 1)
    first = await needing_attention(operations_app)
    second = await operations_app.ordered(card="tok_capture_refused")
    page = await operations_app.page("/ops/payments")
    assert listed(page) == [str(first)]
    [later] = re.findall(r'href="(/ops/payments\?after=[^"]*)"', page)
    later_page = await operations_app.page(later)
    assert listed(later_page) == [str(second)] and "Later orders" not in later_page
    assert "not valid" in await operations_app.page("/ops/payments?after=x", 404)


async def test_other_payments_of_an_earlier_payment_svc_are_left_out(
    operations_app: OperationsApp,
) -> None:
    """It ignores `needs_staff`, and its payments have no `hold`."""
    payment = {
        "order_id": str(new_id()),
        "customer_id": str(ADA),
        "status": "captured",
        "total": {"amount_minor": 2990, "currency": "EUR"},
        "cancelled": False,
        "reference": "auth-1",
        "changed_at": None,
    }
    failed = payment | {"order_id": str(new_id()), "status": "failed"}
    page = {"items": [payment, failed], "next": None}
    operations_app.services.odd["payment_svc"] = json.dumps(page).encode()
    assert listed(await operations_app.page("/ops/payments")) == [failed["order_id"]]


async def test_the_page_explains_settlements_of_an_unclear_refund(
    operations_app: OperationsApp,
) -> None:
    order_id = str(new_id())
    part = {"refund_id": str(new_id()), "amount": {"amount_minor": 700, "currency": "EUR"}, "done": True}
    payment = {
        "order_id": order_id,
        "customer_id": str(ADA),
        "status": "needs_reconciliation",
        "total": {"amount_minor": 2990, "currency": "EUR"},
        "cancelled": False,
        "reference": "auth-1",
        "changed_at": None,
    }
    for unclear in (True, False):
        refunds = [part | {"unclear": unclear}]
        operations_app.services.odd["payment_svc"] = json.dumps(payment | {"refunds": refunds}).encode()
        page = await operations_app.page(f"/ops/orders/{order_id}/payment")
        assert ("7.00 EUR, unclear" in page) == ("it ends as not carried out" in page) == unclear
        assert ("the amount can be refunded again" in page) == unclear
    earlier = {"reason": "paid", "amount": part["amount"], "reference": "BANK-1"}
    settled = payment | {"refunds": [part | {"unclear": True}], "settlements": [earlier]}
    operations_app.services.odd["payment_svc"] = json.dumps(settled).encode()
    page = await operations_app.page(f"/ops/orders/{order_id}/payment")
    assert "refunded again" not in page and "a new refund books items only" in page


async def test_without_payment_svc_the_list_names_it(operations_app: OperationsApp) -> None:
    operations_app.services.away.add("payment_svc")
    assert "payment_svc does not respond" in await operations_app.page("/ops/payments", 503)


async def test_unconfirmed_decisions_may_have_been_sent(operations_app: OperationsApp) -> None:
    order_id = await needing_attention(operations_app)
    path = f"/ops/orders/{order_id}"
    settlement = {"reason": "paid", "amount": "29.90", "reference": "BANK-1"}
    for sentence, confirms_nothing in (("It is unknown whether it was sent", True), ("Not sent", False)):
        operations_app.broker.confirms_nothing = confirms_nothing
        operations_app.broker.away = not confirms_nothing
        for action, fields in (
            ("dispatch", {}),
            ("tracking", {"tracking": "PARCEL-1"}),
            ("payment/retry", {}),
            ("cancel", {}),
            ("payment/settle", settlement),
        ):
            text = (await operations_app.send(f"{path}/{action}", 503, **fields)).text
            assert sentence in text and "nothing is lost" not in text, action

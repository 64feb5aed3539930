"""`journey attention list`: the payments that need staff."""

from datetime import UTC, datetime
from uuid import UUID

import httpx

from contracts.http.payments import Hold, PaymentPage, PaymentStatus, PaymentView
from contracts.values import Money
from journey.cli.attention import line, needing_staff

AT = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)


def payment(number: int, status: PaymentStatus, hold: Hold | None = None, detail: str = "") -> PaymentView:
    return PaymentView(
        order_id=UUID(int=number),
        customer_id=UUID(int=7),
        status=status,
        total=Money(amount_minor=2_990, currency="EUR"),
        cancelled=False,
        reference="auth-1",
        detail=detail,
        may_retry=False,
        hold=hold,
        changed_at=AT,
    )


async def test_only_payments_that_need_staff_are_listed_of_all_pages() -> None:
    """payment_svc of an earlier release returns all payments."""
    failed, captured = payment(1, PaymentStatus.FAILED), payment(2, PaymentStatus.CAPTURED)
    unclear = payment(3, PaymentStatus.CAPTURED, Hold.UNCLEAR)

    def respond(request: httpx.Request) -> httpx.Response:
        given = request.url.params
        assert request.url.path == "/payments" and given["needs_staff"] == given["oldest_first"] == "true"
        second = given.get("after") == str(captured.order_id)
        page = (
            PaymentPage(items=[unclear], next=None)
            if second
            else PaymentPage(items=[failed, captured], next=captured.order_id)
        )
        return httpx.Response(200, content=page.model_dump_json())

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        found = [each async for each in needing_staff(http, "http://payment_svc")]
    assert found == [failed, unclear]


def test_a_line_shows_the_detail_without_control_characters() -> None:
    shown = line(payment(1, PaymentStatus.CAPTURED, Hold.UNCLEAR, "voided 1.00 \x1b[31mEUR"))
    assert shown.startswith(f"{UUID(int=1)}  2031-05-06 07:08  captured, release unclear")
    assert "29.90 EUR" in shown and shown.endswith("voided 1.00 �[31mEUR")

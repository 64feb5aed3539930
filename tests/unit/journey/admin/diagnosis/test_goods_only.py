"""What staff read about refunds of goods only: the payment was settled outside, and no money moved here."""

from collections.abc import Mapping
from datetime import timedelta

import httpx
import pytest

from contracts import payments
from journey.admin.diagnosis import doctor
from journey.admin.diagnosis.promises import MONEY
from payment_svc.simulator import LEDGER as BOOK
from tests.support.stuck_order_fixtures import ID
from tests.unit.journey.admin.diagnosis.test_doctor import ADDRESSES, EUR, NOW, SKU, FakeServices, number
from tests.unit.journey.admin.diagnosis.test_explain import entry, explained


@pytest.mark.parametrize("recent", [False, True])
async def test_goods_only_refunds_are_named_for_staff(recent: bool) -> None:
    """No book says whether the customer has the money back outside."""
    services = FakeServices()
    await services.open()
    refund = {"refund_id": number(8), "amount": EUR, "status": "goods_only", "returned": [
        {"sku": SKU, "quantity": 1, "to": "stock"}
    ]}  # fmt: skip
    settled = {"settlements": [{"reason": "paid", "amount": EUR, "reference": "BANK-1"}]}
    key = await services.confirmed(
        7, timedelta(minutes=1), orders={"refunds": [refund]}, payments=settled,
        reservations={"returns": [refund]}, **{BOOK: None},
    )  # fmt: skip
    await services.confirmed(6)
    await services.shelf(sold=1)
    async with httpx.AsyncClient(transport=services) as http_:
        since = NOW - timedelta(hours=1) if recent else None
        found = await doctor.settled(http_, ADDRESSES, _none_dead, wait_s=0, since=since)
    [money] = [finding for finding in found if finding.promise == MONEY]
    assert all(finding.holds for finding in found), found
    assert money.left_out.startswith(f"refunds of goods only, settled outside: 1, e.g. of order {key}")


async def _none_dead() -> Mapping[str, int]:
    return {}


def test_a_refund_of_goods_only_explains_that_no_money_moved() -> None:
    refund = {"refund_id": ID, "amount": {"amount_minor": 1400, "currency": "EUR"}, "status": "goods_only"}
    at_rest = entry("order_svc", payments.RefundRefused, "dispatched")
    for status, remedies in (
        ("goods_only", ["the refund of 14.00 EUR is settled outside: no money moved here; give back outside "
                        "what the customer paid"]),
        ("done", []),
    ):  # fmt: skip
        found = explained(at_rest, status="dispatched", refunds=[refund | {"status": status}])
        assert found.remedies == remedies

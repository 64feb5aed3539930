"""The list of orders: its search form, and the export as CSV."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from chassis.messaging.identity import new_id
from contracts.roles import Role
from operations.orders import list_pages
from tests.support.shops.operations import ADA, OperationsApp, token

EXPORT = "/ops/orders/export"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_pages, "_PAUSE_S", 0.001)


async def with_orders(operations_app: OperationsApp) -> list[UUID]:
    """Two orders of one article, one of another."""
    await operations_app.stocked()
    await operations_app.stocked("CUP-WHITE", "Cup, white")
    return [await operations_app.ordered(sku) for sku in ("KETTLE-BLUE", "CUP-WHITE", "KETTLE-BLUE")]


def listed(page: str) -> list[str]:
    """The ids of the orders in the table."""
    return re.findall(r'<th scope="row"><a class="mono" href="/ops/orders/([0-9a-f-]+)">', page)


async def test_orders_are_found_by_each_field_of_the_form(operations_app: OperationsApp) -> None:
    [first, second, third] = map(str, await with_orders(operations_app))
    today = datetime.now(UTC).date()
    tomorrow = today + timedelta(days=1)
    expected = {
        "": [third, second, first],
        "sku=cup-white": [second],
        "sku=KETTLE-BLUE&status=confirmed": [third, first],
        "status=cancelled": [],
        f"customer={ADA}": [third, second, first],
        f"customer={new_id()}": [],
        f"from={today - timedelta(days=1)}&until={tomorrow}": [third, second, first],
        f"from={tomorrow}": [],
        f"q={second[-8:].upper()}&sku=CUP-WHITE": [second],
    }
    for query, ids in expected.items():
        page = await operations_app.page(f"/ops/orders?{query}")
        assert listed(page) == ids, query
        assert ids or "No order matches." in page


async def test_a_unique_number_opens_the_order(operations_app: OperationsApp) -> None:
    [_, second, _] = await with_orders(operations_app)
    for number in (second.hex[-6:].upper(), f"%23{second.hex[-8:]}", str(second), f"urn:uuid:{second}"):
        response = await operations_app.http.get(f"/ops/orders?q={number}")
        assert (response.status_code, response.headers["location"]) == (303, f"/ops/orders/{second}")


async def test_the_list_goes_on_with_older_orders(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pages, "_ON_A_PAGE", 1)
    [first, _, third] = await with_orders(operations_app)
    page = await operations_app.page("/ops/orders?sku=KETTLE-BLUE")
    assert listed(page) == [str(third)]
    [older] = re.findall(r'href="(/ops/orders\?[^"]*after=[^"]*)"', page)
    older_page = await operations_app.page(older.replace("&amp;", "&"))
    assert listed(older_page) == [str(first)] and "Older" not in older_page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("q=7F3K", "q"),
        ("q=123", "q"),
        ("customer=ada@example.org", "customer"),
        ("status=lost", "status"),
        ("sku=no+sku!", "sku"),
        ("from=yesterday", "from"),
        ("until=2031-02-30", "until"),
        ("from=2031-05-06&until=2031-05-05", "until"),
        ("q=%22%3E%3Cscript%3E", "q"),
    ],
)
async def test_wrong_input_names_the_field_and_is_kept(
    operations_app: OperationsApp, query: str, field: str
) -> None:
    page = await operations_app.page(f"/ops/orders?{query}", 422)
    assert f'<a href="#{field}">' in page and f'id="{field}-wrong"' in page
    assert "<script>" not in page
    response = await operations_app.http.post(EXPORT, content=query, headers=FORM)
    assert response.status_code == 422 and f'id="{field}-wrong"' in response.text
    assert operations_app.broker.entries == []


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def exported(operations_app: OperationsApp, **fields: str) -> list[dict[str, str]]:
    response = await operations_app.send(EXPORT, 200, **fields)
    assert response.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert re.fullmatch(
        r'attachment; filename="orders-\d{8}T\d{6}Z\.csv"', response.headers["content-disposition"]
    )
    assert response.headers["cache-control"] == "no-store"
    assert response.text.endswith("\r\n") and "\n" not in response.text.replace("\r\n", "")
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def test_an_export_has_all_pages_of_the_search(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pages, "PAGE", 1)
    [first, second, third] = await with_orders(operations_app)
    rows = await exported(operations_app)
    assert [row["order_id"] for row in rows] == [str(third), str(second), str(first)]
    [row] = await exported(operations_app, sku="cup-white")
    placed_at = datetime.fromisoformat(row.pop("placed_at"))
    changed_at = datetime.fromisoformat(row.pop("changed_at"))
    assert placed_at <= changed_at <= datetime.now(UTC)
    assert row == {
        "order_id": str(second),
        "status": "confirmed",
        "customer_id": str(ADA),
        "pieces": "1",
        "articles": "1 CUP-WHITE",
        "total": "29.90",
        "currency": "EUR",
        "reason": "",
        "tracking": "",
    }
    assert await exported(operations_app, status="cancelled") == []


async def test_an_export_is_in_the_audit_log_before_it_begins(operations_app: OperationsApp) -> None:
    await with_orders(operations_app)
    await exported(operations_app, sku="cup-white", status="confirmed")
    entry = operations_app.broker.entries[-1]
    assert (entry.action, entry.by, entry.service) == ("export", str(ADA), "order_svc")
    assert entry.reason == "status confirmed, sku CUP-WHITE"
    page = await operations_app.page("/ops/audit")
    assert "export" in page and "status confirmed, sku CUP-WHITE" in page
    count = len(operations_app.broker.entries)
    operations_app.broker.away = True
    response = await operations_app.send(EXPORT, 503)
    assert "the audit log cannot be written" in response.text and "order_id" not in response.text
    assert len(operations_app.broker.entries) == count


async def test_only_staff_export_orders(operations_app: OperationsApp) -> None:
    for headers in ({}, {"Authorization": f"Bearer {token(Role.CUSTOMER)}"}):
        async with operations_app.client(**headers) as stranger:
            assert (await stranger.post(EXPORT)).status_code == 404
    assert operations_app.broker.entries == []


async def test_an_interrupted_export_ends_without_an_end(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server then closes the connection, so that the browser reports a failed download."""
    monkeypatch.setattr(list_pages, "PAGE", 1)
    await with_orders(operations_app)
    transport = operations_app.services.apps["order_svc"]
    requests = 0

    class Interrupted(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal requests
            requests += request.url.path == "/orders/search"
            if requests > 2:
                raise httpx.ConnectError("connection refused")
            return await transport.handle_async_request(request)

    operations_app.services.apps["order_svc"] = Interrupted()
    with pytest.raises(Exception, match="order_svc did not respond"):
        await operations_app.http.post(EXPORT)


async def test_an_export_waits_until_the_list_is_complete(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_orders(operations_app)
    body = b'{"items": [], "next": null, "complete": false}'
    operations_app.services.odd["order_svc"] = body
    response = await operations_app.send(EXPORT, 503)
    assert "still prepared" in response.text and response.headers["retry-after"] == "60"
    assert "There may be more:" in await operations_app.page("/ops/orders")
    operations_app.services.odd["order_svc"] = b"<html>"
    assert "order_svc does not respond" in await operations_app.page("/ops/orders")
    await operations_app.send(EXPORT, 503)

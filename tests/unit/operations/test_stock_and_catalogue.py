"""Stock, catalogue and staff: input is validated, sent once, audited,
and never overwrites an unseen change.
"""

import httpx
import pytest

from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from chassis.web.app import create_app
from contracts import inventory, products, users
from contracts.values import Money
from inventory_svc import api as inventory_api
from operations.web import staff_pages
from tests.support.shops.operations import ADA, OperationsApp, hidden

ARTICLE = "/ops/catalogue/articles/KETTLE-BLUE"
DESCRIBED = {
    "title": "Kettle, red",
    "description": "It boils.",
    "category": "kitchen",
    "price": "29.90",
    "currency": "EUR",
}


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages wait until the service has handled the command, without a time limit."""
    monkeypatch.setattr(staff_pages, "_WAIT_S_MAX", 60.0)


async def test_a_repeated_receipt_form_counts_once(
    operations_app: OperationsApp,
) -> None:
    receipt = hidden(await operations_app.page("/ops/stock"))["receipt_id"]
    form = {"sku": "kettle-blue", "quantity": "1,000", "receipt_id": receipt}
    for _ in range(2):
        response = await operations_app.send("/ops/stock/receipts", **form)
    await operations_app.quiet()
    page = await operations_app.page(response.headers["location"])
    assert 'data-label="Received" class="end num">1,000<' in page
    assert [entry.type for entry in operations_app.broker.entries] == [inventory.ReceiveStock.TYPE] * 2
    assert {entry.by for entry in operations_app.broker.entries} == {str(ADA)}


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"sku": "no good", "quantity": "1"}, "sku"),
        ({"sku": "KETTLE", "quantity": "0"}, "quantity"),
        ({"sku": "KETTLE", "quantity": "-3"}, "quantity"),
        ({"sku": "KETTLE", "quantity": "two"}, "quantity"),
        ({"sku": "KETTLE"}, "quantity"),
        ({"sku": "KETTLE", "quantity": "²"}, "quantity"),
    ],
)
async def test_an_invalid_receipt_names_the_field_and_keeps_the_input(
    operations_app: OperationsApp, form: dict[str, str], field: str
) -> None:
    response = await operations_app.send("/ops/stock/receipts", 422, receipt_id="", **form)
    assert f'<a href="#{field}">' in response.text and f'id="{field}-wrong"' in response.text
    assert f'value="{form["sku"]}"' in response.text
    assert operations_app.broker.entries == []


CORRECTIONS = "/ops/stock/corrections"


@pytest.mark.parametrize(
    ("change", "shown", "notice", "available"),
    [
        ("-2", "−2", "is corrected", "98"),
        ("−2", "−2", "is corrected", "98"),
        ("+3", "+3", "is corrected", "103"),
        ("-1,000", "−1,000", "is not changed", "100"),
    ],
)
async def test_a_correction_counts_once_and_shows_its_result(
    long_waits: None,
    operations_app: OperationsApp,
    change: str,
    shown: str,
    notice: str,
    available: str,
) -> None:
    await operations_app.stocked()
    correction = hidden(await operations_app.page(f"{CORRECTIONS}?sku=kettle-blue"))["correction_id"]
    form = {"sku": "kettle-blue", "change": change, "reason": "damage", "correction_id": correction}
    for _ in range(2):
        response = await operations_app.send(CORRECTIONS, **form)
    await operations_app.quiet()
    assert response.headers["location"] == f"{CORRECTIONS}/{correction}"
    page = await operations_app.page(response.headers["location"])
    assert notice in page and f">{shown}<" in page and f">{available}<" in page and "damaged pieces" in page
    sent = [entry for entry in operations_app.broker.entries if entry.type == inventory.CorrectStock.TYPE]
    assert [entry.by for entry in sent] == [str(ADA)] * 2


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"sku": "no good"}, "sku"),
        ({"change": "0"}, "change"),
        ({"change": "--2"}, "change"),
        ({"change": "two"}, "change"),
        ({"change": "10,000,001"}, "change"),
        ({"reason": "theft"}, "reason"),
    ],
)
async def test_an_invalid_correction_names_the_field_and_keeps_the_input(
    operations_app: OperationsApp, wrong: dict[str, str], field: str
) -> None:
    form = {"sku": "KETTLE", "change": "-1", "reason": "count", "correction_id": ""} | wrong
    response = await operations_app.send(CORRECTIONS, 422, **form)
    assert f'<a href="#{field}">' in response.text and f'id="{field}-wrong"' in response.text
    assert f'value="{form["change"]}"' in response.text
    assert operations_app.broker.entries == []


async def test_an_unhandled_correction_is_shown_as_sent(operations_app: OperationsApp) -> None:
    page = await operations_app.page(f"{CORRECTIONS}/{new_id()}")
    assert "has not handled it yet" in page
    await operations_app.page(f"{CORRECTIONS}/no-id", 404)


async def test_articles_with_few_pieces_are_listed(operations_app: OperationsApp) -> None:
    assert "More than 5 pieces of every article are available" in await operations_app.page("/ops/stock")
    for sku, pieces in (("CUP-WHITE", 6), ("KETTLE-BLUE", 5)):
        await operations_app.stocked(sku, quantity=pieces)
    page = await operations_app.page("/ops/stock")
    low = page.partition('id="low"')[2].partition("</section>")[0]
    assert "KETTLE-BLUE" in low and "CUP-WHITE" not in low


async def test_the_page_shows_the_limit_of_low_stock(operations_app: OperationsApp) -> None:
    runtime = operations_app.runtimes["inventory_svc"]
    service = create_app(runtime, inventory_api.routes(runtime, low_stock=12))
    operations_app.services.apps["inventory_svc"] = httpx.ASGITransport(service)
    await operations_app.stocked("CUP-WHITE", quantity=12)
    assert "at most 12 pieces are available" in await operations_app.page("/ops/stock")


@pytest.mark.parametrize(
    ("currency", "given", "shown"), [("JPY", "1500", "1,500 JPY"), ("KWD", "12.345", "12.345 KWD")]
)
async def test_prices_have_the_currency_s_decimals(
    long_waits: None, operations_app: OperationsApp, currency: str, given: str, shown: str
) -> None:
    await operations_app.send(
        "/ops/catalogue", sku="KETTLE-BLUE", **DESCRIBED | {"price": given, "currency": currency}
    )
    page = await operations_app.page(ARTICLE)
    assert shown in page and f'value="{given}"' in page
    assert shown in await operations_app.page("/ops/catalogue")
    more = f"{given}5" if "." in given else f"{given}.5"
    wrong = {"price": more, "currency": currency, "revision": "1"}
    assert 'id="price-wrong"' in (await operations_app.send(f"{ARTICLE}/price", 422, **wrong)).text


async def test_an_article_is_added_changed_withdrawn_and_listed_again(
    long_waits: None, operations_app: OperationsApp
) -> None:
    added = await operations_app.send("/ops/catalogue", sku="kettle-blue", **DESCRIBED)
    assert added.headers["location"] == f"{ARTICLE}?said=changed"
    page = await operations_app.page(ARTICLE)
    assert "Kettle, red" in page and "29.90 EUR" in page and "revision 1" in page
    changed = await operations_app.send(f"{ARTICLE}/price", price="31,50", currency="EUR", revision="1")
    assert "31.50 EUR" in await operations_app.page(changed.headers["location"])
    await operations_app.send(f"{ARTICLE}/withdrawal", revision="2")
    page = await operations_app.page(ARTICLE)
    assert "withdrawn" in page and "List it again" in page
    await operations_app.send(ARTICLE, revision="3", **DESCRIBED)
    assert '<span class="tag ok">sold</span>' in await operations_app.page(ARTICLE)
    assert (
        "exists already"
        in (await operations_app.send("/ops/catalogue", 422, sku="KETTLE-BLUE", **DESCRIBED)).text
    )


async def test_a_concurrent_change_is_shown_and_not_overwritten(
    long_waits: None, operations_app: OperationsApp
) -> None:
    await operations_app.stocked()
    seen = hidden(await operations_app.page(ARTICLE))["revision"]
    await operations_app.send_command(
        products.ChangePrice(sku="KETTLE-BLUE", price=Money(amount_minor=3500, currency="EUR"))
    )
    response = await operations_app.send(
        f"{ARTICLE}/price", 412, price="20.00", currency="EUR", revision=seen
    )
    assert "35.00 EUR" in response.text and "20.00 EUR" in response.text, "both values"
    assert "35.00 EUR" in await operations_app.page(ARTICLE)
    again = hidden(response.text)["revision"]
    await operations_app.send(f"{ARTICLE}/price", price="20.00", currency="EUR", revision=again)
    assert "20.00 EUR" in await operations_app.page(ARTICLE)


@pytest.mark.parametrize("price", ["", "-1", "1.234", "a lot", "1e3", "99999999999999999"])
async def test_an_invalid_price_is_rejected(operations_app: OperationsApp, price: str) -> None:
    await operations_app.stocked()
    response = await operations_app.send(f"{ARTICLE}/price", 422, price=price, currency="EUR", revision="1")
    assert "Enter an amount such as 29.90" in response.text
    response = await operations_app.send(f"{ARTICLE}/price", 422, price="1", currency="XXX", revision="1")
    assert "29.90 EUR" in await operations_app.page(ARTICLE)


async def test_an_articles_texts_are_escaped(operations_app: OperationsApp) -> None:
    trick = '"><img src=x onerror=alert(1)>{{7*7}}'
    await operations_app.stocked(title=trick)
    for path in "/ops/catalogue", ARTICLE, "/ops/stock":
        page = await operations_app.page(path)
        assert "<img src=x" not in page
    assert "&#34;&gt;&lt;img" in await operations_app.page(ARTICLE)


async def test_a_rejected_publish_is_shown_and_can_be_repeated(
    operations_app: OperationsApp,
) -> None:
    await operations_app.stocked()
    operations_app.broker.away = True
    receipt = {"sku": "KETTLE-BLUE", "quantity": "3", "receipt_id": str(new_id())}
    response = await operations_app.send("/ops/stock/receipts", 503, **receipt)
    assert "Not sent: the broker does not respond" in response.text and receipt["receipt_id"] in response.text
    price = {"price": "1", "currency": "EUR", "revision": "1"}
    assert "Not sent: the broker" in (await operations_app.send(f"{ARTICLE}/price", 503, **price)).text
    added = {"sku": "CUP", **DESCRIBED}
    assert "Not sent: the broker" in (await operations_app.send("/ops/catalogue", 503, **added)).text


async def test_an_unconfirmed_receipt_is_repeated_under_its_id(
    operations_app: OperationsApp,
) -> None:
    await operations_app.stocked()
    given = {"sku": "KETTLE-BLUE", "quantity": "3", "receipt_id": str(new_id())}
    operations_app.broker.confirms_nothing = True
    shown = (await operations_app.send("/ops/stock/receipts", 503, **given)).text
    assert "It is unknown whether it was sent" in shown and given["receipt_id"] in shown
    corrected = {"sku": "KETTLE-BLUE", "change": "-1", "reason": "damage", "correction_id": str(new_id())}
    shown = (await operations_app.send("/ops/stock/corrections", 503, **corrected)).text
    assert "It is unknown whether it was sent" in shown and corrected["correction_id"] in shown
    operations_app.broker.confirms_nothing = False
    await operations_app.send("/ops/stock/receipts", **given)
    await operations_app.send("/ops/stock/corrections", **corrected)
    await operations_app.quiet()
    assert 'data-label="Received" class="end num">102<' in await operations_app.page("/ops/stock")


async def test_a_sent_command_stays_done_when_its_service_stops(
    operations_app: OperationsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operations_app.stocked()
    send_command = operations_app.broker.send_command

    async def given_and_gone(command: Command, by: str) -> None:
        await send_command(command, by)
        operations_app.services.away = {"product_svc"}

    monkeypatch.setattr(operations_app.broker, "send_command", given_and_gone)
    response = await operations_app.send(f"{ARTICLE}/price", price="31.50", currency="EUR", revision="1")
    assert response.headers["location"] == f"{ARTICLE}?said=sent"
    assert "Nothing was changed" not in await operations_app.page(response.headers["location"], 503)
    assert (
        "Nothing was changed" in (await operations_app.send(f"{ARTICLE}/withdrawal", 503, revision="2")).text
    )


async def test_the_section_of_an_unavailable_service_reports_it(operations_app: OperationsApp) -> None:
    await operations_app.stocked()
    operations_app.services.away = {"product_svc"}
    await operations_app.page(ARTICLE, 503)
    assert "KETTLE-BLUE" in await operations_app.page("/ops/stock"), "stock continues"
    operations_app.services.away = {"inventory_svc"}
    assert "inventory_svc does not respond" in await operations_app.page("/ops/stock")


async def test_roles_are_granted_by_id_and_self_revocation_is_refused(operations_app: OperationsApp) -> None:
    actor = new_id()
    await operations_app.send("/ops/people", what="grant", user_id=str(actor), role="staff")
    assert operations_app.broker.entries[-1].type == users.GrantRole.TYPE
    await operations_app.send("/ops/people", what="revoke", user_id=str(actor), role="staff")
    assert operations_app.broker.entries[-1].type == users.RevokeRole.TYPE
    before = len(operations_app.broker.entries)
    for form in (
        {"what": "revoke", "user_id": str(ADA), "role": "staff"},
        {"what": "grant", "user_id": "ada@example.org", "role": "staff"},
        {"what": "grant", "user_id": str(actor), "role": "king"},
    ):
        await operations_app.send("/ops/people", 422, **form)
    assert len(operations_app.broker.entries) == before

"""Stock, catalogue and staff: what is typed is checked, sent once, audited, and overwrites nobody unseen."""

import pytest

from contracts import inventory, products, users
from contracts.identity import new_id
from contracts.message import Command
from contracts.values import Money
from operations import desk as desk_module
from tests.operations.desks import ADA, DeskInMemory, hidden

ARTICLE = "/ops/catalogue/articles/KETTLE-BLUE"
DESCRIBED = {
    "title": "Kettle, red",
    "description": "It boils.",
    "category": "kitchen",
    "price": "29.90",
    "currency": "EUR",
}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page waits until the service has done what it was told, however long that takes."""
    monkeypatch.setattr(desk_module, "_SEEN_S_MAX", 60.0)


async def test_goods_that_came_in_are_counted_once_however_often_the_form_is_sent(desk: DeskInMemory) -> None:
    receipt = hidden(await desk.page("/ops/stock"))["receipt_id"]
    form = {"sku": "kettle-blue", "quantity": "1,000", "receipt_id": receipt}
    for _ in range(2):
        answer = await desk.send("/ops/stock/receipts", **form)
    await desk.quiet()
    page = await desk.page(answer.headers["location"])
    assert 'data-label="Received" class="end num">1,000<' in page
    assert [entry.type for entry in desk.broker.entries] == [inventory.ReceiveStock.TYPE] * 2
    assert {entry.by for entry in desk.broker.entries} == {str(ADA)}


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
async def test_a_wrong_receipt_names_the_field_and_keeps_what_was_typed(
    desk: DeskInMemory, form: dict[str, str], field: str
) -> None:
    answer = await desk.send("/ops/stock/receipts", 422, receipt_id="", **form)
    assert f'<a href="#{field}">' in answer.text and f'id="{field}-wrong"' in answer.text
    assert f'value="{form["sku"]}"' in answer.text
    assert desk.broker.entries == []


async def test_an_article_is_added_changed_withdrawn_and_listed_again(patient: None, desk: DeskInMemory) -> None:
    added = await desk.send("/ops/catalogue", sku="kettle-blue", **DESCRIBED)
    assert added.headers["location"] == f"{ARTICLE}?said=changed"
    page = await desk.page(ARTICLE)
    assert "Kettle, red" in page and "29.90 EUR" in page and "revision 1" in page
    changed = await desk.send(f"{ARTICLE}/price", price="31,50", currency="EUR", revision="1")
    assert "31.50 EUR" in await desk.page(changed.headers["location"])
    await desk.send(f"{ARTICLE}/withdrawal", revision="2")
    page = await desk.page(ARTICLE)
    assert "withdrawn" in page and "List it again" in page
    await desk.send(ARTICLE, revision="3", **DESCRIBED)
    assert '<span class="tag ok">sold</span>' in await desk.page(ARTICLE)
    assert "is there already" in (await desk.send("/ops/catalogue", 422, sku="KETTLE-BLUE", **DESCRIBED)).text


async def test_what_somebody_changed_meanwhile_is_shown_and_not_overwritten(patient: None, desk: DeskInMemory) -> None:
    await desk.stocked()
    seen = hidden(await desk.page(ARTICLE))["revision"]
    await desk.give(products.ChangePrice(sku="KETTLE-BLUE", price=Money(amount_minor=3500, currency="EUR")))
    answer = await desk.send(f"{ARTICLE}/price", 412, price="20.00", currency="EUR", revision=seen)
    assert "35.00 EUR" in answer.text and "20.00 EUR" in answer.text, "both values"
    assert "35.00 EUR" in await desk.page(ARTICLE)
    again = hidden(answer.text)["revision"]
    await desk.send(f"{ARTICLE}/price", price="20.00", currency="EUR", revision=again)
    assert "20.00 EUR" in await desk.page(ARTICLE)


@pytest.mark.parametrize("price", ["", "-1", "1.234", "a lot", "1e3", "99999999999999999"])
async def test_a_price_that_cannot_be_is_refused(desk: DeskInMemory, price: str) -> None:
    await desk.stocked()
    answer = await desk.send(f"{ARTICLE}/price", 422, price=price, currency="EUR", revision="1")
    assert "Write an amount as 29.90" in answer.text
    answer = await desk.send(f"{ARTICLE}/price", 422, price="1", currency="XXX", revision="1")
    assert "29.90 EUR" in await desk.page(ARTICLE)


async def test_an_articles_words_are_text_and_nothing_else(desk: DeskInMemory) -> None:
    trick = '"><img src=x onerror=alert(1)>{{7*7}}'
    await desk.stocked(title=trick)
    for path in "/ops/catalogue", ARTICLE, "/ops/stock":
        page = await desk.page(path)
        assert "<img src=x" not in page
    assert "&#34;&gt;&lt;img" in await desk.page(ARTICLE)


async def test_what_the_broker_does_not_take_is_said_and_can_be_sent_again(desk: DeskInMemory) -> None:
    await desk.stocked()
    desk.broker.away = True
    receipt = {"sku": "KETTLE-BLUE", "quantity": "3", "receipt_id": str(new_id())}
    answer = await desk.send("/ops/stock/receipts", 503, **receipt)
    assert "Not given: the broker does not answer" in answer.text and receipt["receipt_id"] in answer.text
    price = {"price": "1", "currency": "EUR", "revision": "1"}
    assert "Not given: the broker" in (await desk.send(f"{ARTICLE}/price", 503, **price)).text
    added = {"sku": "CUP", **DESCRIBED}
    assert "Not given: the broker" in (await desk.send("/ops/catalogue", 503, **added)).text


async def test_a_service_that_goes_away_after_it_was_told_something_does_not_make_that_undone(
    desk: DeskInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.stocked()
    give = desk.broker.give

    async def given_and_gone(command: Command, by: str) -> None:
        await give(command, by)
        desk.town.away = {"product_svc"}

    monkeypatch.setattr(desk.broker, "give", given_and_gone)
    answer = await desk.send(f"{ARTICLE}/price", price="31.50", currency="EUR", revision="1")
    assert answer.headers["location"] == f"{ARTICLE}?said=sent"
    assert "Nothing was changed" not in await desk.page(answer.headers["location"], 503)
    assert "Nothing was changed" in (await desk.send(f"{ARTICLE}/withdrawal", 503, revision="2")).text


async def test_with_a_service_away_its_part_says_so(desk: DeskInMemory) -> None:
    await desk.stocked()
    desk.town.away = {"product_svc"}
    await desk.page(ARTICLE, 503)
    assert "KETTLE-BLUE" in await desk.page("/ops/stock"), "stock goes on"
    desk.town.away = {"inventory_svc"}
    assert "inventory_svc does not answer" in await desk.page("/ops/stock")


async def test_a_role_is_granted_by_id_and_nobody_locks_themselves_out(desk: DeskInMemory) -> None:
    somebody = new_id()
    await desk.send("/ops/people", what="grant", user_id=str(somebody), role="staff")
    assert desk.broker.entries[-1].type == users.GrantRole.TYPE
    await desk.send("/ops/people", what="revoke", user_id=str(somebody), role="staff")
    assert desk.broker.entries[-1].type == users.RevokeRole.TYPE
    before = len(desk.broker.entries)
    for form in (
        {"what": "revoke", "user_id": str(ADA), "role": "staff"},
        {"what": "grant", "user_id": "ada@example.org", "role": "staff"},
        {"what": "grant", "user_id": str(somebody), "role": "king"},
    ):
        await desk.send("/ops/people", 422, **form)
    assert len(desk.broker.entries) == before

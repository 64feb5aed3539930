"""The aggregate cache saves reads, and is never used where no write would detect that it is stale."""

from uuid import UUID, uuid4

import pytest

from chassis.core.decision import RunEffect
from chassis.core.process import MessageProcessor
from contracts import inventory, notifications, orders, payments, products
from contracts.notifications import MailKind
from contracts.values import Money, OrderLine
from inventory_svc.service import inventory_service
from notification_svc.mail import Sent
from notification_svc.service import notification_service
from order_svc.service import order_service
from payment_svc.payment import Authorized
from payment_svc.service import payment_service
from tests.support.pending_message_factory import NOW, pending
from tests.support.two_instances import CONFIRMED, CUSTOMER, KEY, ORDER, PLACED, PRICE, two


async def test_one_payment_is_written_five_times_and_read_never() -> None:
    here, _ = two(payment_service())
    await here.hear(PLACED)
    await here.hear(inventory.StockReserved(order_id=ORDER))
    [question] = await here.hear(payments.Authorize(order_id=ORDER), id_="authorize")
    assert isinstance(question, RunEffect)
    said = await here.hear(
        payments.Authorize(order_id=ORDER), id_="authorize", answer=Authorized("r", PLACED.total)
    )
    assert said == [[payments.PaymentAuthorized.TYPE]]
    assert await here.hear(CONFIRMED) == [[payments.Capture.TYPE]]
    assert here.reads == [] and here.store.tried == 4


async def test_what_another_instance_wrote_is_met_by_the_write_and_decided_on() -> None:
    here, there = two(order_service())
    await here.hear(products.ProductListed(sku="TEA", title="Tea", category="tea", price=PRICE, revision=1))
    lines = (OrderLine(sku="TEA", quantity=1),)
    await here.hear(
        orders.PlaceOrder(order_id=ORDER, customer_id=CUSTOMER, lines=lines, card_token="tok_visa")
    )
    await there.hear(inventory.StockReserved(order_id=ORDER))
    assert await here.hear(payments.PaymentAuthorized(order_id=ORDER, amount=PRICE)) == [
        [orders.OrderConfirmed.TYPE]
    ]


async def test_a_message_that_comes_again_after_its_aggregate_began_is_answered_with_the_stored_words() -> (
    None
):
    here, there = two(payment_service())
    await here.hear(PLACED, id_="placed")
    await here.hear(inventory.StockReserved(order_id=ORDER), id_="reserved")
    assert await there.hear(PLACED, id_="placed") == [[]]
    assert await there.hear(inventory.StockReserved(order_id=ORDER), id_="reserved") == [
        [payments.Authorize.TYPE]
    ]
    assert (await there.store.load("payments", [KEY]))[KEY].version == 2


async def test_goods_are_not_refused_for_what_was_on_the_shelf_some_time_ago() -> None:
    """A rejection writes nothing to the shelf,
    so no version conflict would reveal that there is more stock by now.
    """
    here, there = two(inventory_service())
    await here.hear(inventory.ReceiveStock(receipt_id=uuid4(), sku="TEA", quantity=1))
    await there.hear(inventory.ReceiveStock(receipt_id=uuid4(), sku="TEA", quantity=5))
    assert await here.hear(PLACED) == [[inventory.StockReserved.TYPE]]


async def test_nothing_fails_for_being_out_of_turn_on_old_news() -> None:
    here, there = two(payment_service())
    await here.hear(PLACED)
    await there.hear(inventory.StockReserved(order_id=ORDER))
    await there.hear(payments.Authorize(order_id=ORDER), id_="a", answer=Authorized("r", PLACED.total))
    assert await here.hear(CONFIRMED) == [[payments.Capture.TYPE]]


async def test_a_mail_that_another_instance_has_sent_is_not_sent_on_old_news() -> None:
    """A mail server has no idempotency keys: asked twice, it sends twice."""
    here, there = two(notification_service())
    send = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)
    await here.hear(CONFIRMED)
    await there.hear(send, id_="send", answer=Sent())
    assert await here.hear(send, id_="send") == [[notifications.MailSent.TYPE]]


async def test_a_card_may_be_asked_for_on_old_news_because_the_provider_takes_its_key_once() -> None:
    here, there = two(payment_service())
    await here.hear(PLACED)
    await here.hear(inventory.StockReserved(order_id=ORDER))
    await there.hear(payments.Authorize(order_id=ORDER), id_="a", answer=Authorized("r", PLACED.total))
    assert isinstance((await here.hear(payments.Authorize(order_id=ORDER), id_="a"))[0], RunEffect)
    again = await here.hear(payments.Authorize(order_id=ORDER), id_="a", answer=Authorized("r", PLACED.total))
    assert again == [[payments.PaymentAuthorized.TYPE]], "the stored message, not a second authorisation"
    assert (await here.store.load("payments", [KEY]))[KEY].version == 3


async def test_prices_are_read_for_each_order_because_an_order_writes_none() -> None:
    here, there = two(order_service())
    listed = products.ProductListed(sku="TEA", title="Tea", category="tea", price=PRICE, revision=1)
    await here.hear(listed)
    lines = (OrderLine(sku="TEA", quantity=1),)
    for number in (1, 2):
        order = orders.PlaceOrder(
            order_id=UUID(int=number), customer_id=CUSTOMER, lines=lines, card_token="tok_visa"
        )
        await here.hear(order)
    await there.hear(
        products.PriceChanged(sku="TEA", price=Money(amount_minor=1, currency="EUR"), revision=2)
    )
    seen = orders.PlaceOrder(
        order_id=ORDER, customer_id=CUSTOMER, lines=lines, card_token="tok_visa", total_seen=PRICE
    )
    assert await here.hear(seen) == [[orders.OrderRejected.TYPE]]


@pytest.mark.parametrize("first", ["price", "order"])
async def test_a_price_that_changes_in_the_group_of_an_order_is_written_as_one_that_was_handled(
    first: str,
) -> None:
    here, _ = two(order_service())
    listed = products.ProductListed(sku="TEA", title="Tea", category="tea", price=PRICE, revision=1)
    lines = (OrderLine(sku="TEA", quantity=1),)
    order = orders.PlaceOrder(order_id=ORDER, customer_id=CUSTOMER, lines=lines, card_token="tok_visa")
    await here.hear(listed)
    changed = products.PriceChanged(sku="TEA", price=PRICE, revision=2)
    works = [pending(here.service, changed, "changed"), pending(here.service, order, "placed")]
    await MessageProcessor(here.service, here.cached, clock=lambda: NOW).process(
        works[:: 1 if first == "price" else -1]
    )
    price = (await here.store.load("prices", ["TEA"]))["TEA"]
    assert price.version == 2 and "changed" in price.handled


async def test_what_stands_alongside_and_hears_a_message_in_one_group_remembers_the_message() -> None:
    here, _ = two(notification_service())
    await here.hear(CONFIRMED)
    cancelled = orders.OrderCancelled(
        order_id=ORDER, customer_id=CUSTOMER, reason=orders.CancelReason.CUSTOMER
    )
    send = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)
    said = await here.hear(cancelled, send)
    assert said == [[notifications.SendMail.TYPE], [notifications.MailSuperseded.TYPE]]
    keys = [f"{KEY}:{kind}" for kind in (MailKind.ORDER_CANCELLED, MailKind.ORDER_CONFIRMED)]
    stored = await here.store.load("mails", keys)
    assert [len(stored[key].handled) for key in keys] == [1, 2]

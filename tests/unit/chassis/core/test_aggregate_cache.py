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


async def test_a_payment_is_written_five_times_and_never_read() -> None:
    here, _ = two(payment_service())
    await here.deliver(PLACED)
    await here.deliver(inventory.StockReserved(order_id=ORDER))
    [effect] = await here.deliver(payments.Authorize(order_id=ORDER), id_="authorize")
    assert isinstance(effect, RunEffect)
    emitted = await here.deliver(
        payments.Authorize(order_id=ORDER), id_="authorize", response=Authorized("r", PLACED.total)
    )
    assert emitted == [[payments.PaymentAuthorized.TYPE]]
    assert await here.deliver(CONFIRMED) == [[payments.Capture.TYPE]]
    assert here.reads == [] and here.store.tried == 4


async def test_a_write_conflict_reveals_another_instances_change() -> None:
    here, there = two(order_service())
    await here.deliver(
        products.ProductListed(sku="TEA", title="Tea", category="tea", price=PRICE, revision=1)
    )
    lines = (OrderLine(sku="TEA", quantity=1),)
    await here.deliver(
        orders.PlaceOrder(order_id=ORDER, customer_id=CUSTOMER, lines=lines, card_token="tok_visa")
    )
    await there.deliver(inventory.StockReserved(order_id=ORDER))
    assert await here.deliver(payments.PaymentAuthorized(order_id=ORDER, amount=PRICE)) == [
        [orders.OrderConfirmed.TYPE]
    ]


async def test_a_redelivery_emits_the_stored_messages() -> None:
    here, there = two(payment_service())
    await here.deliver(PLACED, id_="placed")
    await here.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved")
    assert await there.deliver(PLACED, id_="placed") == [[]]
    assert await there.deliver(inventory.StockReserved(order_id=ORDER), id_="reserved") == [
        [payments.Authorize.TYPE]
    ]
    assert (await there.store.load("payments", [KEY]))[KEY].version == 2


async def test_goods_are_not_refused_because_of_a_stale_shelf() -> None:
    """A rejection writes nothing to the shelf,
    so no version conflict would reveal that there is more stock by now.
    """
    here, there = two(inventory_service())
    await here.deliver(inventory.ReceiveStock(receipt_id=uuid4(), sku="TEA", quantity=1))
    await there.deliver(inventory.ReceiveStock(receipt_id=uuid4(), sku="TEA", quantity=5))
    assert await here.deliver(PLACED) == [[inventory.StockReserved.TYPE]]


async def test_a_stale_cache_makes_no_message_unexpected() -> None:
    here, there = two(payment_service())
    await here.deliver(PLACED)
    await there.deliver(inventory.StockReserved(order_id=ORDER))
    await there.deliver(payments.Authorize(order_id=ORDER), id_="a", response=Authorized("r", PLACED.total))
    assert await here.deliver(CONFIRMED) == [[payments.Capture.TYPE]]


async def test_a_stale_cache_sends_no_mail_twice() -> None:
    """A mail server has no idempotency keys: asked twice, it sends twice."""
    here, there = two(notification_service())
    send = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)
    await here.deliver(CONFIRMED)
    await there.deliver(send, id_="send", response=Sent())
    assert await here.deliver(send, id_="send") == [[notifications.MailSent.TYPE]]


async def test_a_stale_payment_may_be_requested_because_keys_are_idempotent() -> None:
    here, there = two(payment_service())
    await here.deliver(PLACED)
    await here.deliver(inventory.StockReserved(order_id=ORDER))
    await there.deliver(payments.Authorize(order_id=ORDER), id_="a", response=Authorized("r", PLACED.total))
    assert isinstance((await here.deliver(payments.Authorize(order_id=ORDER), id_="a"))[0], RunEffect)
    again = await here.deliver(
        payments.Authorize(order_id=ORDER), id_="a", response=Authorized("r", PLACED.total)
    )
    assert again == [[payments.PaymentAuthorized.TYPE]], "the stored message, not a second authorisation"
    assert (await here.store.load("payments", [KEY]))[KEY].version == 3


async def test_prices_are_read_for_each_order() -> None:
    here, there = two(order_service())
    listed = products.ProductListed(sku="TEA", title="Tea", category="tea", price=PRICE, revision=1)
    await here.deliver(listed)
    lines = (OrderLine(sku="TEA", quantity=1),)
    for number in (1, 2):
        order = orders.PlaceOrder(
            order_id=UUID(int=number), customer_id=CUSTOMER, lines=lines, card_token="tok_visa"
        )
        await here.deliver(order)
    await there.deliver(
        products.PriceChanged(sku="TEA", price=Money(amount_minor=1, currency="EUR"), revision=2)
    )
    seen = orders.PlaceOrder(
        order_id=ORDER, customer_id=CUSTOMER, lines=lines, card_token="tok_visa", total_seen=PRICE
    )
    assert await here.deliver(seen) == [[orders.OrderRejected.TYPE]]


@pytest.mark.parametrize("first", ["price", "order"])
async def test_a_price_changed_in_an_orders_batch_is_written(
    first: str,
) -> None:
    here, _ = two(order_service())
    listed = products.ProductListed(sku="TEA", title="Tea", category="tea", price=PRICE, revision=1)
    lines = (OrderLine(sku="TEA", quantity=1),)
    order = orders.PlaceOrder(order_id=ORDER, customer_id=CUSTOMER, lines=lines, card_token="tok_visa")
    await here.deliver(listed)
    changed = products.PriceChanged(sku="TEA", price=PRICE, revision=2)
    works = [pending(here.service, changed, "changed"), pending(here.service, order, "placed")]
    await MessageProcessor(here.service, here.cached, clock=lambda: NOW).process(
        works[:: 1 if first == "price" else -1]
    )
    price = (await here.store.load("prices", ["TEA"]))["TEA"]
    assert price.version == 2 and "changed" in price.handled


async def test_a_related_aggregate_that_handles_a_message_remembers_it() -> None:
    here, _ = two(notification_service())
    await here.deliver(CONFIRMED)
    cancelled = orders.OrderCancelled(
        order_id=ORDER, customer_id=CUSTOMER, reason=orders.CancelReason.CUSTOMER
    )
    send = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)
    emitted = await here.deliver(cancelled, send)
    assert emitted == [[notifications.SendMail.TYPE], [notifications.MailSuperseded.TYPE]]
    keys = [f"{KEY}:{kind}" for kind in (MailKind.ORDER_CANCELLED, MailKind.ORDER_CONFIRMED)]
    stored = await here.store.load("mails", keys)
    assert [len(stored[key].handled) for key in keys] == [1, 2]


async def test_redelivered_messages_of_two_kinds_may_share_a_related_aggregate() -> None:
    """The batch reads the shelf once: a second look would find it in the cache, and never be accepted."""
    here, _ = two(inventory_service())
    receipt = inventory.ReceiveStock(receipt_id=uuid4(), sku="TEA", quantity=5)
    await here.deliver(receipt, id_="receipt")
    await here.deliver(PLACED, id_="placed")
    works = [pending(here.service, receipt, "receipt"), pending(here.service, PLACED, "placed")]
    for batch in (works, works[::-1]):
        here.empty_cache()
        await MessageProcessor(here.service, here.cached, clock=lambda: NOW).process(batch)
    assert [
        [emitted.type for emitted in work.outcome] for work in works if isinstance(work.outcome, tuple)
    ] == [
        [inventory.StockReceived.TYPE],
        [inventory.StockReserved.TYPE],
    ]

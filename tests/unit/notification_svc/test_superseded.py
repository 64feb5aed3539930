"""A mail that is out of date is dropped and recorded, whatever the order of the events."""

import pytest

from chassis.messaging.message import Event
from contracts import orders
from tests.support.eventually import until
from tests.support.mail_fixtures import FakeSmtp, Users
from tests.unit.notification_svc import test_notification_journey as journey
from tests.unit.notification_svc.test_notification_journey import Shop, all_queued, confirmed, settled

shop = journey.shop


@pytest.mark.parametrize("cancelled_first", [False, True])
async def test_after_an_outage_no_outdated_confirmation_is_sent(
    shop: Shop, smtp: FakeSmtp, users: Users, cancelled_first: bool
) -> None:
    """Both mails wait for the mail server, or the events arrive in the wrong order."""
    ann = users.add()
    news: list[Event] = []
    for _ in range(20):
        event = confirmed(ann)
        why = orders.CancelReason.CUSTOMER
        ended = orders.OrderCancelled(
            order_id=event.order_id, customer_id=ann, reason=why, after_confirmation=True
        )
        news += [ended, event] if cancelled_first else [event, ended]
    await smtp.close()
    async with shop.running() as instance:
        for each in news:
            shop.deliver(each)
        await all_queued(shop, instance, 40)
        await smtp.open()
        await until(lambda: len(shop.emitted("notification.mail_sent.v1")) == 20)
        await settled(shop, instance)
        dropped = await shop.mails(instance, status="superseded", limit=100)
        keys = [mail["key"] for mail in (await shop.mails(instance, limit=100))["items"]]
        stored = await shop.store.load("mails", keys)
    assert len(stored) == 40
    assert all(len(mail.handled) >= 2 for mail in stored.values()), "the event and the command to send it"
    assert {(mail["kind"], mail["superseded_by"]) for mail in dropped["items"]} == {
        ("order_confirmed", "order_cancelled")
    }
    assert len(dropped["items"]) == len(shop.emitted("notification.mail_superseded.v1")) == 20
    assert len(smtp.mails) == len({mail["Message-ID"] for mail in smtp.mails}) == 20
    assert shop.broker.dead("notification_svc") == []


async def test_a_mail_of_an_earlier_batch_still_supersedes(shop: Shop, smtp: FakeSmtp, users: Users) -> None:
    """The other mail is not in the same batch: it must be read from the database."""
    event = confirmed(users.add())
    why = orders.CancelReason.CUSTOMER
    ended = orders.OrderCancelled(
        order_id=event.order_id, customer_id=event.customer_id, reason=why, after_confirmation=True
    )
    async with shop.running() as instance:
        shop.deliver(ended)
        await settled(shop, instance)
    async with shop.running() as instance:
        shop.deliver(event)
        await settled(shop, instance)
        assert [mail["kind"] for mail in (await shop.mails(instance, status="superseded"))["items"]] == [
            "order_confirmed"
        ]
    assert len(smtp.mails) == 1

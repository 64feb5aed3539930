"""Leases of effects beside other messages, stops, and failures of broker and database: one mail, and soon."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.bus.memory import MemoryBus
from chassis.bus.protocol import BusUnavailable
from chassis.bus.retry_ladder import RETURNS_SUSPECT
from chassis.messaging.envelope import WireMessage
from chassis.store.protocol import Change, Loaded, StoreRefused
from contracts import orders
from contracts.notifications import MailKind
from notification_svc.mail import Deliver, Sent
from tests.support.eventually import until
from tests.support.shops.mails import EFFECT_S, SEND, MailShop, confirmed, message_id, play, takes_mails
from tests.support.two_instances import CONFIRMED, CUSTOMER, ORDER

OTHER = confirmed(0).order_id


class SilentBus(MemoryBus):
    """While `silent`, it delivers messages, and nothing that is published is confirmed."""

    silent = False

    async def publish(self, wire_messages: Sequence[WireMessage]) -> list[Exception | None]:
        if self.silent:
            await asyncio.sleep(0)
            return [BusUnavailable("no confirm") for _ in wire_messages]
        return await super().publish(wire_messages)


def test_a_result_is_stored_while_its_batch_cannot_be_published() -> None:
    async def story() -> None:
        shop = MailShop(takes_mails)
        bus = SilentBus(shop.broker, "notification_svc")
        async with shop.instance(bus):
            shop.publish(CONFIRMED)
            await until(lambda: shop.attempts)
            bus.silent = True
            shop.publish(confirmed(0), message_id(0))  # its command cannot be published
            recorded = orders.OrderDispatched(order_id=ORDER, customer_id=CUSTOMER)
            shop.publish(recorded, message_id(1))
            await asyncio.sleep(EFFECT_S + 1)
            assert await shop.status() == "sent"

        shop = MailShop(takes_mails)
        await shop.queued(CONFIRMED)
        bus = SilentBus(shop.broker, "notification_svc")
        async with shop.instance(bus):
            shop.publish(SEND)
            shop.publish(confirmed(0), message_id(0))  # in the batch that requests the effect
            bus.silent = True
            await asyncio.sleep(EFFECT_S + 1)
            assert shop.sent == [ORDER]
            assert await shop.status() == "sent"

    play(story)


def test_a_stopping_instance_begins_no_mail() -> None:
    """Those that wait for a slot soon begin in another instance. Those that are under way end."""

    async def story() -> None:
        begun = list[UUID]()

        async def mailer(request: Deliver, attempt: int) -> Sent:
            begun.append(request.mail.about)
            await asyncio.sleep(12)
            return Sent()

        shop = MailShop(mailer)
        async with shop.instance() as stopping:
            for number in range(4):
                shop.publish(confirmed(number), message_id(number))
            await until(lambda: len(begun) == 2)
            await asyncio.sleep(1)
            await stopping.stop()
        assert len(begun) == shop.mails == 2
        async with shop.instance():
            await until(lambda: len(begun) == 4, within_s=10)
            await asyncio.sleep(300)
        assert sorted(begun) == sorted(shop.sent) == [confirmed(number).order_id for number in range(4)]

    play(story)


def test_the_result_of_a_suspect_waits_for_no_other_effect() -> None:
    async def story() -> None:
        async def mailer(request: Deliver, attempt: int) -> Sent:
            await asyncio.sleep(EFFECT_S if request.mail.about == ORDER else 25)
            return Sent()

        shop = MailShop(mailer)
        await shop.queued(CONFIRMED, confirmed(0))
        async with shop.instance():
            shop.put_back(SEND, returned=RETURNS_SUSPECT)
            await until(lambda: shop.attempts == 1)
            shop.publish(SEND.model_copy(update={"about": OTHER}), message_id(0))
            await until(lambda: shop.attempts == 2)
            await until(lambda: shop.mails == 1)
            await asyncio.sleep(1)
            assert await shop.status() == "sent"

    play(story)


def test_suspects_and_waiting_effects_do_not_block_each_other() -> None:
    async def story() -> None:
        shop = MailShop(takes_mails)
        await shop.queued(*map(confirmed, range(8)))
        async with shop.instance():
            for number in range(8):
                returns = RETURNS_SUSPECT if number % 3 == 1 else 0
                command = SEND.model_copy(update={"about": confirmed(number).order_id})
                shop.put_back(command, message_id(number), returned=returns)
            await until(lambda: shop.mails == 8, within_s=120)

    play(story)


def test_a_refused_result_is_a_dead_letter_at_once() -> None:
    """Trying again would send the mail again."""

    async def story() -> None:
        shop = MailShop(takes_mails)
        await shop.queued(CONFIRMED)
        save = shop.store.save

        async def refuse_results(changes: Sequence[Change], **how: Any) -> bool:
            if any(change.handled for change in changes):
                raise StoreRefused("it is too large")
            return await save(changes, **how)

        shop.store.save = refuse_results  # type: ignore[method-assign]
        async with shop.instance():
            shop.publish(SEND)
            [dead] = await until(lambda: shop.broker.queues["notification_svc.dead"])
            assert "it is too large; its effect has run (Sent)" in dead.headers["error"]
            await asyncio.sleep(300)
            assert shop.mails == 1

    play(story)


def test_a_result_needs_no_other_mail_that_cannot_be_read() -> None:
    """A newer release has written it while the mail was sent."""

    async def story() -> None:
        shop = MailShop(takes_mails)
        await shop.queued(orders.OrderDispatched(order_id=ORDER, customer_id=CUSTOMER))
        async with shop.instance():
            shop.publish(SEND.model_copy(update={"kind": MailKind.ORDER_DISPATCHED}))
            await until(lambda: shop.attempts)
            unreadable = Loaded("mails", f"{ORDER}:{MailKind.PAYMENT_REFUNDED}")
            await shop.store.save([Change(unreadable, {"status": "of a newer release"})])
            await until(
                lambda: shop.status(kind=MailKind.ORDER_DISPATCHED),
                lambda status: status == "sent",
                within_s=9,
            )

    play(story)


def test_a_copy_that_needs_no_effect_leaves_no_lease() -> None:
    """While the mail is sent it is superseded, by a copy with the same id."""

    async def story() -> None:
        shop = MailShop(takes_mails)
        await shop.queued(CONFIRMED)
        async with shop.instance():
            shop.publish(SEND)
            await until(lambda: shop.attempts)
            await shop.queued(
                orders.OrderCancelled(
                    order_id=ORDER, customer_id=CUSTOMER, reason=orders.CancelReason.PAYMENT_DECLINED
                )
            )
            shop.publish(SEND)
            await asyncio.sleep(60)
            assert (await shop.mail()).lease is None

    play(story)

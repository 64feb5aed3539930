"""An effect without an idempotency key runs once, although several instances receive copies of its message.

If the instance that runs it dies, another takes over.
"""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.bus.memory import MemoryStore
from chassis.clock import CLOCK_SKEW_MAX
from chassis.core.decision import RunEffect
from chassis.core.definition import EffectUnavailable
from chassis.core.leases import STORE_S_MAX
from contracts import orders
from contracts.notifications import MailKind
from notification_svc.mail import Deferred, Deliver, Sent
from notification_svc.service import notification_service
from tests.simulation import virtual_time
from tests.support.eventually import until
from tests.support.pending_message_factory import message_processor, pending
from tests.support.shops.mails import LIMITS, SEND, MailShop, confirmed, message_id, play, takes_mails
from tests.support.two_instances import CONFIRMED, CUSTOMER, ORDER


def test_a_reminder_that_both_instances_send_causes_one_mail() -> None:
    async def mailer(request: Deliver, attempt: int) -> Any:
        if attempt == 1:
            return Deferred(virtual_time.now(), virtual_time.now() + timedelta(seconds=5))
        await asyncio.sleep(3)
        return Sent()

    async def story() -> None:
        shop = MailShop(mailer)
        async with shop.instance(), shop.instance():
            shop.publish(CONFIRMED)
            await shop.is_sent()
            assert (shop.attempts, shop.mails) == (2, 1)

    play(story)


def test_copies_of_a_command_cause_one_mail() -> None:
    """Whether they reach one instance or two, and whether they have one id or two."""

    async def story() -> None:
        shop = MailShop(takes_mails)
        async with shop.instance(), shop.instance():
            shop.publish(CONFIRMED)
            await until(lambda: shop.attempts)
            shop.publish(SEND, str(UUID(int=10)), copies=4)
            shop.publish(SEND, str(UUID(int=11)), copies=4)
            await shop.is_sent()
            assert (shop.attempts, shop.mails) == (1, 1)

    play(story)


def test_a_failed_effect_ends_its_lease() -> None:
    """So the next attempt, in whichever instance, does not wait until it expires."""

    async def mailer(request: Deliver, attempt: int) -> Any:
        if attempt == 1:
            raise EffectUnavailable("no answer")
        if attempt == 2:
            raise ValueError("a bug")
        return Sent()

    async def story() -> None:
        shop = MailShop(mailer)
        async with shop.instance(), shop.instance():
            shop.publish(CONFIRMED)
            began = asyncio.get_running_loop().time()
            await until(shop.status, lambda status: status == "sent", within_s=60)
            assert asyncio.get_running_loop().time() - began < LIMITS.timeout_s
            assert (shop.attempts, shop.mails) == (3, 1)

    play(story)


def test_a_result_is_stored_at_once() -> None:
    """Other messages of notification_svc wait for more of them. A crash in that time would repeat a mail."""

    async def story() -> None:
        sent_at, stored_at = list[float](), list[float]()

        async def mailer(request: Deliver, attempt: int) -> Any:
            await asyncio.sleep(3)
            sent_at.append(asyncio.get_running_loop().time())
            return Sent()

        async def store_mail(changes: Any, **how: Any) -> bool:
            stored_at.append(asyncio.get_running_loop().time())
            return await MemoryStore.save(shop.store, changes, **how)

        shop = MailShop(mailer)
        shop.store.save = store_mail  # type: ignore[method-assign]
        async with shop.instance() as instance:
            shop.publish(CONFIRMED)
            await until(lambda: shop.attempts)
            await asyncio.sleep(2.95)
            shop.publish(CONFIRMED, str(UUID(int=10)))
            await shop.is_sent()
            assert instance.service.linger_s > 0.05
            assert min(each for each in stored_at if each >= sent_at[0]) == sent_at[0]

    play(story)


def test_the_effect_of_a_dead_instance_runs_in_another() -> None:
    async def mailer(request: Deliver, attempt: int) -> Any:
        await asyncio.sleep(3600 if attempt == 1 else 3)
        return Sent()

    async def story() -> None:
        shop = MailShop(mailer)
        async with shop.instance():
            shop.publish(CONFIRMED)
            await until(lambda: shop.attempts)
        died = asyncio.get_running_loop().time()
        async with shop.instance(), shop.instance():
            await until(lambda: shop.attempts == 2, within_s=300)
            waited_s = asyncio.get_running_loop().time() - died
            assert LIMITS.timeout_s + STORE_S_MAX <= waited_s < 2 * (LIMITS.timeout_s + STORE_S_MAX)
            await shop.is_sent()
            assert (shop.attempts, shop.mails) == (2, 1)

    play(story)


def test_instances_that_keep_restarting_run_the_effect() -> None:
    """Each lives too short to see that the lease has expired."""

    async def mailer(request: Deliver, attempt: int) -> Any:
        if attempt == 1:
            await asyncio.sleep(3600)
        return Sent()

    async def story() -> None:
        shop = MailShop(mailer)
        async with shop.instance():
            shop.publish(CONFIRMED)
            await until(lambda: shop.attempts)
        died = asyncio.get_running_loop().time()
        while not shop.mails:
            async with shop.instance():
                await asyncio.sleep(LIMITS.timeout_s / 2)
        waited_s = asyncio.get_running_loop().time() - died
        assert LIMITS.timeout_s + STORE_S_MAX + 2 * CLOCK_SKEW_MAX.total_seconds() <= waited_s < 300
        assert (shop.attempts, shop.mails) == (2, 1)

    play(story)


def test_mails_that_wait_for_slots_keep_their_order() -> None:
    """Each waits longer than a lease lasts."""
    about = [confirmed(number).order_id for number in range(8)]

    async def mailer(request: Deliver, attempt: int) -> Any:
        await asyncio.sleep(LIMITS.timeout_s - 1)
        return Sent()

    async def publish_all(shop: MailShop) -> None:
        for number in range(len(about)):
            shop.publish(confirmed(number), message_id(number))
            await asyncio.sleep(0.2)

    async def story() -> None:
        shop = MailShop(mailer)
        async with shop.instance():
            await publish_all(shop)
            async with shop.instance():
                for number, order_id in enumerate(about):
                    again = SEND.model_copy(update={"about": order_id})
                    shop.publish(again, message_id(1000 + number), copies=2)
                await until(lambda: shop.mails == len(about), within_s=900)
                await asyncio.sleep(600)
                assert shop.attempts == shop.mails == len(about)

        shop = MailShop(mailer)
        async with shop.instance():
            await publish_all(shop)
            await until(lambda: shop.mails == len(about), within_s=900)
            assert shop.sent == about

    play(story)


def test_a_lease_is_renewed_although_others_write_the_aggregate() -> None:
    """The first attempt to write the renewed lease meets a newer version; the lease before is still valid."""

    async def story() -> None:
        service, store = notification_service(), MemoryStore()
        holder, other = message_processor(service, store), message_processor(service, store)
        dispatched = orders.OrderDispatched(order_id=ORDER, customer_id=CUSTOMER)
        await holder.process([pending(service, dispatched)])
        command = pending(service, SEND.model_copy(update={"kind": MailKind.ORDER_DISPATCHED}))
        command.has_slot = True
        for tracking in ("TRACK-1", "TRACK-2"):
            await holder.process([command])
            assert isinstance(command.outcome, RunEffect) and command.lease is not None
            recorded = orders.TrackingRecorded(order_id=ORDER, customer_id=CUSTOMER, tracking=tracking)
            await other.process([pending(service, recorded)])
        await holder.process([command])
        assert isinstance(command.outcome, RunEffect)

    play(story)

"""An effect without an idempotency key runs once, although several instances receive copies of its message.

If the instance that runs it dies, another takes over.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.clock import CLOCK_SKEW_MAX
from chassis.core.decision import RunEffect
from chassis.core.definition import EffectHandler, EffectLimits, EffectUnavailable
from chassis.core.leases import START_S_MAX
from chassis.messaging.envelope import wrap
from chassis.messaging.message import Message
from chassis.runtime import Runtime
from contracts import notifications, orders
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from contracts.values import Money
from notification_svc.mail import Deferred, Deliver, Sent
from notification_svc.service import notification_service
from tests.simulation import virtual_time
from tests.support.eventually import until
from tests.support.pending_message_factory import message_processor, pending

ORDER, CUSTOMER = UUID(int=7), UUID(int=8)
CONFIRMED = orders.OrderConfirmed(
    order_id=ORDER, customer_id=CUSTOMER, total=Money(amount_minor=840, currency="EUR")
)
SEND = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)
LIMITS = EffectLimits(concurrent_max=2, timeout_s=30.0)
Mailer = Callable[[Deliver, int], Awaitable[Any]]


class Shop:
    """Instances of notification_svc. `mailer(request, attempt)`: what the mail server does."""

    def __init__(self, mailer: Mailer, limits: EffectLimits = LIMITS) -> None:
        self._service = replace(notification_service(), effects=limits)
        self._mailer = mailer
        self.broker = MemoryBroker(build([self._service]))
        self.store = MemoryStore()
        self.attempts = self.mails = 0

    @asynccontextmanager
    async def _effects(self, runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        async def deliver(request: Any, first_asked: datetime) -> Any:
            self.attempts += 1
            result = await self._mailer(request, self.attempts)
            self.mails += isinstance(result, Sent)
            return result

        yield deliver

    @asynccontextmanager
    async def instance(self) -> AsyncIterator[Runtime]:
        bus = MemoryBus(self.broker, "notification_svc")
        runtime = Runtime(self._service, bus, self.store, effects=self._effects, clock=virtual_time.now)
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.kill()
            assert runtime.background_error is None

    def publish(self, message: Message, id_: str = "", *, user: str = "", copies: int = 1) -> None:
        source = user or message.OWNER
        envelope = wrap(message, id=id_ or str(UUID(int=9)), source=source, now=virtual_time.now())
        wire_message = replace(envelope.wire_message(CATALOG), user_id=source)
        assert not any(self.broker.route(wire_message) for _ in range(copies))

    async def status(self) -> str:
        loaded = await self.store.load("mails", [f"{ORDER}:{MailKind.ORDER_CONFIRMED}"])
        [mail] = loaded.values()
        return str((mail.state or {}).get("status"))

    async def is_sent(self, within_s: float = 300.0) -> None:
        """Wait for it, and until each copy of its messages is handled."""
        await until(self.status, lambda status: status == "sent", within_s=within_s)
        consumed = (*self._service.events_queues, *self._service.commands_queues)
        await until(lambda: not any(self.broker.queues[name] for name in consumed), within_s=within_s)
        await asyncio.sleep(60)


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    virtual_time.play(story())


def test_a_reminder_that_both_instances_send_causes_one_mail() -> None:
    async def mailer(request: Deliver, attempt: int) -> Any:
        if attempt == 1:
            return Deferred(virtual_time.now(), virtual_time.now() + timedelta(seconds=5))
        await asyncio.sleep(3)
        return Sent()

    async def story() -> None:
        shop = Shop(mailer)
        async with shop.instance(), shop.instance():
            shop.publish(CONFIRMED)
            await shop.is_sent()
            assert (shop.attempts, shop.mails) == (2, 1)

    play(story)


def test_copies_of_a_command_cause_one_mail() -> None:
    """Whether they reach one instance or two, and whether they have one id or two."""

    async def mailer(request: Deliver, attempt: int) -> Any:
        await asyncio.sleep(3)
        return Sent()

    async def story() -> None:
        shop = Shop(mailer)
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
        shop = Shop(mailer)
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

        shop = Shop(mailer)
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
        shop = Shop(mailer)
        async with shop.instance():
            shop.publish(CONFIRMED)
            await until(lambda: shop.attempts)
        died = asyncio.get_running_loop().time()
        async with shop.instance(), shop.instance():
            await until(lambda: shop.attempts == 2, within_s=300)
            waited_s = asyncio.get_running_loop().time() - died
            assert LIMITS.timeout_s + START_S_MAX <= waited_s < 2 * (LIMITS.timeout_s + START_S_MAX)
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
        shop = Shop(mailer)
        async with shop.instance():
            shop.publish(CONFIRMED)
            await until(lambda: shop.attempts)
        died = asyncio.get_running_loop().time()
        while not shop.mails:
            async with shop.instance():
                await asyncio.sleep(LIMITS.timeout_s / 2)
        waited_s = asyncio.get_running_loop().time() - died
        assert LIMITS.timeout_s + START_S_MAX + 2 * CLOCK_SKEW_MAX.total_seconds() <= waited_s < 300
        assert (shop.attempts, shop.mails) == (2, 1)

    play(story)


def test_an_effect_that_waited_for_a_slot_renews_its_lease() -> None:
    """Otherwise it would begin late, and still run when another instance takes its lease for expired."""
    about = [UUID(int=100 + number) for number in range(6)]

    async def mailer(request: Deliver, attempt: int) -> Any:
        await asyncio.sleep(LIMITS.timeout_s - 1)
        return Sent()

    async def story() -> None:
        shop = Shop(mailer)
        async with shop.instance():
            for number, order_id in enumerate(about):
                confirmed = CONFIRMED.model_copy(update={"order_id": order_id})
                shop.publish(confirmed, str(UUID(int=1000 + number)))
            await until(lambda: shop.attempts == 2)
            async with shop.instance():
                for number, order_id in enumerate(about):
                    again = SEND.model_copy(update={"about": order_id})
                    shop.publish(again, str(UUID(int=2000 + number)), copies=2)
                await until(lambda: shop.mails >= len(about), within_s=900)
                await asyncio.sleep(600)
                assert (shop.attempts, shop.mails) == (len(about), len(about))

    play(story)


def test_a_lease_is_renewed_although_others_write_the_aggregate() -> None:
    """The first attempt to write the renewed lease meets a newer version; the lease before is still valid."""

    async def story() -> None:
        service, store = notification_service(), MemoryStore()
        holder, other = message_processor(service, store), message_processor(service, store)
        dispatched = orders.OrderDispatched(order_id=ORDER, customer_id=CUSTOMER)
        await holder.process([pending(service, dispatched)])
        command = pending(service, SEND.model_copy(update={"kind": MailKind.ORDER_DISPATCHED}))
        for tracking in ("TRACK-1", "TRACK-2"):
            await holder.process([command])
            assert isinstance(command.outcome, RunEffect)
            recorded = orders.TrackingRecorded(order_id=ORDER, customer_id=CUSTOMER, tracking=tracking)
            await other.process([pending(service, recorded)])
        await holder.process([command])
        assert isinstance(command.outcome, RunEffect)

    play(story)

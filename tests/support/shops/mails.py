"""Instances of notification_svc with a mail server that a test writes, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.bus.memory import RETURNS, MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.protocol import Bus
from chassis.bus.topology import build
from chassis.core.definition import EffectHandler, EffectLimits
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.message import Event, Message
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded
from contracts import notifications, orders
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from notification_svc.mail import Deliver, Sent
from notification_svc.service import notification_service
from tests.simulation import virtual_time
from tests.support.eventually import until
from tests.support.pending_message_factory import message_processor, pending
from tests.support.two_instances import CONFIRMED, ORDER

SEND = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)
LIMITS = EffectLimits(concurrent_max=2, timeout_s=30.0)
EFFECT_S = 3.0
Mailer = Callable[[Deliver, int], Awaitable[Any]]


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    virtual_time.play(story())


async def takes_mails(request: Deliver, attempt: int) -> Sent:
    await asyncio.sleep(EFFECT_S)
    return Sent()


def confirmed(number: int) -> orders.OrderConfirmed:
    """The event about another order than ORDER."""
    return CONFIRMED.model_copy(update={"order_id": UUID(int=100 + number)})


def message_id(number: int) -> str:
    return str(UUID(int=1000 + number))


class MailShop:
    """`mailer(request, attempt)`: what the mail server does. `sent`: the orders of the mails that it took."""

    def __init__(self, mailer: Mailer, limits: EffectLimits = LIMITS) -> None:
        self.service = replace(notification_service(), effects=limits)
        self._mailer = mailer
        self.broker = MemoryBroker(build([self.service]))
        self.store = MemoryStore()
        self.attempts = 0
        self.sent: list[UUID] = []

    @property
    def mails(self) -> int:
        return len(self.sent)

    @asynccontextmanager
    async def _effects(self, runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        async def deliver(request: Any, first_asked: datetime) -> Any:
            self.attempts += 1
            result = await self._mailer(request, self.attempts)
            if isinstance(result, Sent):
                self.sent.append(request.mail.about)
            return result

        yield deliver

    @asynccontextmanager
    async def instance(self, bus: Bus | None = None) -> AsyncIterator[Runtime]:
        bus = bus or MemoryBus(self.broker, "notification_svc")
        runtime = Runtime(self.service, bus, self.store, effects=self._effects, clock=virtual_time.now)
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.kill()
            assert runtime.background_error is None and not runtime.crashed.done()

    async def queued(self, *events: Event) -> None:
        """The mails about these events wait for a command."""
        processor = message_processor(self.service, self.store, clock=virtual_time.now)
        await processor.process([pending(self.service, event) for event in events])

    def publish(self, message: Message, id_: str = "", *, copies: int = 1) -> None:
        wire_message = self._wire_message(message, id_)
        assert not any(self.broker.route(wire_message) for _ in range(copies))

    def put_back(self, message: Message, id_: str = "", *, returned: int) -> None:
        """Into the queue of commands, as if it had come back so often."""
        wire_message = self._wire_message(message, id_)
        wire_message = replace(wire_message, headers={**wire_message.headers, RETURNS: returned})
        self.broker.queues[self.service.commands_queue].append(wire_message)
        self.broker.pump(self.service.commands_queue)

    def _wire_message(self, message: Message, id_: str) -> WireMessage:
        envelope = wrap(message, id=id_ or str(UUID(int=9)), source=message.OWNER, now=virtual_time.now())
        return replace(envelope.wire_message(CATALOG), user_id=message.OWNER)

    async def mail(self, about: UUID = ORDER, kind: MailKind = MailKind.ORDER_CONFIRMED) -> Loaded:
        [loaded] = (await self.store.load("mails", [f"{about}:{kind}"])).values()
        return loaded

    async def status(self, about: UUID = ORDER, kind: MailKind = MailKind.ORDER_CONFIRMED) -> str:
        return str(((await self.mail(about, kind)).state or {}).get("status"))

    async def is_sent(self, within_s: float = 300.0) -> None:
        """Wait for it, and until each copy of its messages is handled."""
        await until(self.status, lambda status: status == "sent", within_s=within_s)
        consumed = (*self.service.events_queues, *self.service.commands_queues)
        await until(lambda: not any(self.broker.queues[name] for name in consumed), within_s=within_s)
        await asyncio.sleep(60)

"""A mail that the recipient's server defers for days, in virtual time, through the whole message path."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from chassis import telemetry
from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.core.definition import EffectHandler
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from contracts import notifications, orders
from contracts.catalog import CATALOG
from contracts.http.users import Recipient
from contracts.values import Money
from notification_svc.mail_server import MailDeferredByServer
from notification_svc.mailer import Mailer
from notification_svc.service import notification_service
from notification_svc.settings import GIVE_UP_AFTER
from tests.simulation import virtual_time


class Contacts:
    async def of(self, user_id: Any, kind: Any, about: Any) -> Recipient:
        return Recipient(email="ann@later.example", name="Ann")


class MailServer:
    """Defers everything until `takes_from` attempts were made."""

    def __init__(self, takes_from: int | None) -> None:
        self.takes_from = takes_from
        self.tries = 0

    async def send(self, mail: Any, before_data: Any) -> None:
        self.tries += 1
        if self.takes_from is None or self.tries < self.takes_from:
            raise MailDeferredByServer("the mail server asks to try later (450)")


def played(mail_server: MailServer, days: float) -> MemoryBroker:
    """The broker after one mail was handled for this many days."""
    broker = MemoryBroker(build([notification_service()]))

    @asynccontextmanager
    async def effects(runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        mailer: Any = Mailer(Contacts(), mail_server, "shop@shop.example", "http://shop", virtual_time.now)  # type: ignore[arg-type]
        yield mailer.deliver

    async def story() -> None:
        bus = MemoryBus(broker, "notification_svc")
        runtime = Runtime(notification_service(), bus, MemoryStore(), effects=effects, clock=virtual_time.now)
        runtime.timer_check_s = runtime.probe_s = 20.0
        await runtime.start()
        total = Money(amount_minor=100, currency="EUR")
        event = orders.OrderConfirmed(order_id=new_id(), customer_id=new_id(), total=total)
        wire_message = wrap(event, id=str(new_id()), source="order_svc", now=virtual_time.now()).wire_message(
            CATALOG
        )
        assert await MemoryBus(broker, "order_svc").publish([wire_message]) == [None]
        await asyncio.sleep(timedelta(days=days).total_seconds())
        await runtime.kill()

    virtual_time.play(story())
    return broker


def emitted(broker: MemoryBroker, event: type[Any]) -> int:
    return len(
        [
            wire_message
            for wire_message in broker.tapped
            if wire_message.type == event.TYPE and wire_message.exchange == "events"
        ]
    )


@pytest.fixture(autouse=True)
def quiet() -> Any:
    telemetry.configure("critical", pretty=False)
    yield
    telemetry.configure("info", pretty=False)


def test_a_deferred_mail_is_abandoned_after_days_with_one_event() -> None:
    mail_server = MailServer(takes_from=None)
    broker = played(mail_server, GIVE_UP_AFTER.days + 1)
    assert (emitted(broker, notifications.MailUndeliverable), emitted(broker, notifications.MailSent)) == (
        1,
        0,
    )
    assert 20 < mail_server.tries < 60, "with growing pauses"
    assert len(broker.tapped) < 200, "it is in no queue while it waits"


def test_a_mail_accepted_on_the_third_day_is_sent_once() -> None:
    mail_server = MailServer(takes_from=25)
    broker = played(mail_server, GIVE_UP_AFTER.days + 1)
    assert (emitted(broker, notifications.MailUndeliverable), emitted(broker, notifications.MailSent)) == (
        0,
        1,
    )
    assert mail_server.tries == 25

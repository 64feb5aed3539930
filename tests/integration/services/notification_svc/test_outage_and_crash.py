"""The service on a real RabbitMQ and a real MongoDB: a mail server outage, and a crash."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from chassis.core.definition import EffectHandler
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.runtime import Runtime
from chassis.store.mongodb import MongoStore
from contracts import orders
from contracts.catalog import CATALOG
from contracts.values import Money
from notification_svc.mail_server import SmtpClient
from notification_svc.mailer import Mailer
from notification_svc.user_client import RecipientClient
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.mail_fixtures import SHOP_URL, FakeSmtp, Users
from tests.unit.notification_svc.impatient_circuit import circuit_state, impatient_service

pytestmark = [pytest.mark.real, pytest.mark.every_service]

TOTAL = Money(amount_minor=12_50, currency="EUR")


async def dead_letters(vhost: VirtualHost) -> int:
    async with vhost.admin as admin:
        # The broker updates its statistics every few seconds.
        depths = await until(
            lambda: admin.depths(vhost.name), lambda depths: depths["notification_svc.dead"].ready is not None
        )
    return depths["notification_svc.dead"].ready or 0


async def test_mails_survive_an_outage_and_a_crash_once_each(
    real_infrastructure: Any,
    vhost: VirtualHost,
    database_prefix: str,
    contacts: RecipientClient,
    mail_server: SmtpClient,
    smtp: FakeSmtp,
    users: Users,
) -> None:

    @asynccontextmanager
    async def effects(instance: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        yield Mailer(contacts, mail_server, "shop@order-journey.example", SHOP_URL, instance.clock).deliver

    def instance() -> Runtime:
        store = MongoStore(real_infrastructure.mongo_url, f"{database_prefix}notification_svc")
        return Runtime(impatient_service(), RabbitBus(vhost.url("notification_svc")), store, effects=effects)

    ann = users.add()
    events = [orders.OrderConfirmed(order_id=new_id(), customer_id=ann, total=TOTAL) for _ in range(100)]
    wire_messages = [
        wrap(event, id=str(new_id()), source="order_svc", now=utc_now()).wire_message(CATALOG)
        for event in events
    ]
    order_svc = RabbitBus(vhost.url("order_svc"))
    await order_svc.start()
    await smtp.close()
    first = instance()
    await first.start()
    try:
        assert not any(await order_svc.publish(wire_messages))
        assert not any(await order_svc.publish(wire_messages))  # each is published twice
        await until(lambda: circuit_state(first) == "open")
        await until(
            lambda: first.store.find("mails", {"status": "queued"}, limit=200),
            lambda mails: len(mails) >= 100,
        )
    finally:
        await first.kill()
    second = instance()
    await second.start()
    try:
        await smtp.open()
        await until(lambda: len(smtp.mails) >= 100)
        await until(
            lambda: second.store.find("mails", {"status": "sent"}, limit=200), lambda mails: len(mails) >= 100
        )
    finally:
        await second.stop()
        await order_svc.stop()
    assert len({mail["Message-ID"] for mail in smtp.mails}) == len(smtp.mails) == 100
    assert await dead_letters(vhost) == 0

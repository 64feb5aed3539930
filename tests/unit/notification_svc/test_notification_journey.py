"""The whole service in memory with a real mail server: an event goes in, one mail comes out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.bus.topology import build
from chassis.clock import utc_now
from chassis.core.definition import EffectHandler
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Event
from chassis.runtime import Runtime
from chassis.web import app
from contracts import orders, payments
from contracts import users as users_svc
from contracts.catalog import CATALOG
from contracts.notifications import MailKind
from contracts.values import Money
from notification_svc import api
from notification_svc.faults import with_fault, with_hanging_effect
from notification_svc.mail_server import SmtpClient
from notification_svc.mailer import Mailer
from notification_svc.service import notification_service
from notification_svc.settings import Fault
from notification_svc.user_client import RecipientClient
from tests.support.eventually import until
from tests.support.mail_fixtures import SHOP_URL, FakeSmtp, Users
from tests.unit.notification_svc.impatient_circuit import circuit_state, impatient_service

TOTAL = Money(amount_minor=12_50, currency="EUR")
MAIL_SERVERS = ("mail",)  # the logger of aiosmtpd, the test's mail server


@dataclass
class Shop:
    """notification_svc and everything that it communicates with."""

    broker: MemoryBroker
    store: MemoryStore
    contacts: RecipientClient
    mail_server: SmtpClient

    @asynccontextmanager
    async def effects(self, runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        yield Mailer(
            self.contacts, self.mail_server, "shop@order-journey.example", SHOP_URL, runtime.clock
        ).deliver

    @asynccontextmanager
    async def running(self, fault: Fault = "") -> AsyncIterator[Runtime]:
        service = with_fault(impatient_service(), fault)
        effects = with_hanging_effect(self.effects) if fault else self.effects
        instance = Runtime(service, MemoryBus(self.broker, "notification_svc"), self.store, effects=effects)
        await instance.start()
        try:
            yield instance
        finally:
            await instance.kill()

    def deliver(self, event: Event, times: int = 1, copies: int = 1) -> None:
        """Publish the event `times` times under different ids, each delivered in this many copies."""
        for _ in range(times):
            envelope = wrap(event, id=str(new_id()), source=event.OWNER, now=utc_now())
            wire_message = replace(envelope.wire_message(CATALOG), user_id=event.OWNER)
            assert not any(self.broker.route(wire_message) for _ in range(copies))

    def emitted(self, type_: str) -> list[WireMessage]:
        return [wire_message for wire_message in self.broker.tapped if wire_message.routing_key == type_]

    async def mails(self, instance: Runtime, **query: Any) -> dict[str, Any]:
        transport = httpx.ASGITransport(app.create_app(instance, api.routes(instance)))
        async with httpx.AsyncClient(transport=transport, base_url="http://notification_svc") as client:
            page: dict[str, Any] = (await client.get("/mails", params=query)).json()
        return page


@pytest.fixture
def shop(contacts: RecipientClient, mail_server: SmtpClient) -> Shop:
    return Shop(
        MemoryBroker(build([notification_service()]), delay_scale=0.002), MemoryStore(), contacts, mail_server
    )


async def all_queued(shop: Shop, instance: Runtime, count: int) -> None:
    await until(
        lambda: shop.mails(instance, status="queued", limit=100), lambda page: len(page["items"]) == count
    )


async def settled(shop: Shop, instance: Runtime) -> None:
    """Wait until nothing is in flight, in a queue, or on the retry ladder."""
    assert instance._dispatcher is not None
    batcher = instance._dispatcher
    queues = [
        shop.broker.queues[name] for name in (instance.service.events_queue, instance.service.commands_queue)
    ]
    for _ in range(3):  # a message may be moving between two queues
        await until(lambda: not batcher.in_flight and not any(queues))
        await asyncio.sleep(0.02)


def confirmed(customer: Any) -> orders.OrderConfirmed:
    return orders.OrderConfirmed(order_id=new_id(), customer_id=customer, total=TOTAL)


async def test_every_kind_of_event_is_one_mail(shop: Shop, smtp: FakeSmtp, users: Users) -> None:
    ann, order_id = users.add(), new_id()
    async with shop.running() as instance:
        shop.deliver(confirmed(ann))
        shop.deliver(orders.OrderDispatched(order_id=new_id(), customer_id=ann))
        shop.deliver(
            orders.OrderCancelled(order_id=order_id, customer_id=ann, reason=orders.CancelReason.CUSTOMER)
        )
        shop.deliver(payments.PaymentRefunded(order_id=order_id, customer_id=ann, amount=TOTAL))
        shop.deliver(registered(ann))
        for event in (
            users_svc.AddressProofRequested(request_id=new_id(), user_id=ann),
            users_svc.PasswordResetRequested(request_id=new_id(), user_id=ann),
            users_svc.RegisteredAgain(request_id=new_id(), user_id=ann),
            users_svc.PasswordChanged(request_id=new_id(), user_id=ann),
            users_svc.EmailChanged(request_id=new_id(), user_id=ann),
        ):
            shop.deliver(event)
        await until(lambda: len(shop.emitted("notification.mail_sent.v1")) == len(MailKind) + 1)
        await settled(shop, instance)
    assert len({mail["Message-ID"] for mail in smtp.mails}) == len(smtp.mails) == len(MailKind) + 1


async def test_an_event_delivered_three_times_is_one_mail(shop: Shop, smtp: FakeSmtp, users: Users) -> None:
    event = confirmed(users.add())
    async with shop.running() as instance:
        shop.deliver(event, copies=3)
        await until(lambda: bool(smtp.mails))
        shop.deliver(event, times=2)
        shop.deliver(event, copies=2)
        await settled(shop, instance)
    assert len(smtp.mails) == 1
    assert len({wire_message.message_id for wire_message in shop.emitted("notification.mail_sent.v1")}) == 1


async def test_mails_wait_for_their_server_and_are_sent_once(
    shop: Shop, smtp: FakeSmtp, users: Users
) -> None:
    await smtp.close()
    events = [confirmed(users.add()) for _ in range(40)]
    async with shop.running() as instance:
        for event in events:
            shop.deliver(event)
        await until(lambda: circuit_state(instance) == "open")
        await all_queued(shop, instance, 40)  # the events are handled: their queue keeps flowing
        assert not shop.broker.queues["notification_svc.events"]
        await smtp.open()
        await until(lambda: len(smtp.mails) == 40)
        await settled(shop, instance)
    assert len({mail["Message-ID"] for mail in smtp.mails}) == len(smtp.mails) == 40
    assert shop.broker.dead("notification_svc") == []


async def test_mails_wait_while_user_svc_is_unavailable(shop: Shop, smtp: FakeSmtp, users: Users) -> None:
    users.fails_with = 503
    event = confirmed(users.add())
    async with shop.running():
        shop.deliver(event)
        await until(lambda: len(users.asked) >= 2)
        users.fails_with = None
        await until(lambda: len(smtp.mails) == 1)
    assert shop.broker.dead("notification_svc") == []


async def test_a_mail_to_an_erased_user_is_undeliverable(shop: Shop, smtp: FakeSmtp) -> None:
    async with shop.running() as instance:
        shop.deliver(confirmed(new_id()))
        await until(lambda: bool(shop.emitted("notification.mail_undeliverable.v1")))
        page = await shop.mails(instance, status="undeliverable")
    assert page["items"][0]["detail"] == "the user is gone"
    assert smtp.mails == []


async def test_after_an_erasure_no_instance_sends_a_mail(shop: Shop, smtp: FakeSmtp, users: Users) -> None:
    """Each instance has sent to the address just before."""
    ann = users.add()
    async with users.client() as app:
        other = replace(shop, contacts=RecipientClient(app, lambda: "token-of-ours"))
        for each in (shop, other):
            async with each.running() as instance:
                each.deliver(confirmed(ann))
                await settled(each, instance)
        assert len(smtp.mails) == 2
        del users.contacts[ann]
        async with shop.running() as first, other.running() as second:
            for _ in range(20):
                shop.deliver(confirmed(ann))
            for instance in (first, second, first):
                await settled(shop, instance)
    assert len(smtp.mails) == 2
    assert len(shop.emitted("notification.mail_undeliverable.v1")) == 20


async def test_no_personal_data_is_stored_published_or_logged(
    shop: Shop, smtp: FakeSmtp, users: Users, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    ann = users.add("ann.canary@shop.example", "Anncanary")
    users.contacts[ann]["link_token"] = "tokencanary"
    async with shop.running() as instance:
        shop.deliver(confirmed(ann))
        shop.deliver(users_svc.PasswordResetRequested(request_id=new_id(), user_id=ann))
        await until(lambda: len(shop.emitted("notification.mail_sent.v1")) == 2)
        documents = [repr(document) for document in await shop.store.find("mails")]
        documents.append(repr(await shop.mails(instance)))
    logged = [
        record.getMessage() for record in caplog.records if record.name.partition(".")[0] not in MAIL_SERVERS
    ]
    everything = " ".join([*documents, *(repr(wire_message) for wire_message in shop.broker.tapped), *logged])
    arrived = " ".join(mail.as_string() for mail in smtp.mails)
    assert "Anncanary" in arrived and "tokencanary" in arrived
    assert "canary" not in everything


async def test_a_failing_handler_leaves_the_event_on_the_ladder(
    shop: Shop, smtp: FakeSmtp, users: Users
) -> None:
    event = confirmed(users.add())
    async with shop.running(fault="raise"):
        shop.deliver(event)
        await until(lambda: any(wire_message.exchange == "retry.5s" for wire_message in shop.broker.tapped))
    async with shop.running() as instance:
        await until(lambda: len(smtp.mails) == 1)
        await settled(shop, instance)
    assert len(smtp.mails) == 1


async def test_a_hanging_handler_keeps_the_event_until_a_restart(
    shop: Shop, smtp: FakeSmtp, users: Users
) -> None:
    events = [confirmed(users.add()) for _ in range(20)]
    async with shop.running(fault="hang") as instance:
        for event in events:
            shop.deliver(event)
        assert instance._dispatcher is not None
        batcher = instance._dispatcher
        await until(lambda: batcher.in_flight == 20)
        await asyncio.sleep(0.1)  # nothing happens, and that cannot be awaited
        assert batcher.in_flight == 20
        assert instance.unready() == ""  # the event loop runs: from outside nothing is wrong
    assert smtp.mails == []
    async with shop.running():
        await until(lambda: len(smtp.mails) == 20)


async def test_mails_can_be_looked_up_in_pages(shop: Shop, users: Users) -> None:
    ann, events = users.add(), [confirmed(users.add()) for _ in range(3)]
    async with shop.running() as instance:
        for event in (*events, registered(ann)):
            shop.deliver(event)
        await until(lambda: len(shop.emitted("notification.mail_sent.v1")) == 4)
        first = await shop.mails(instance, status="sent", limit=3)
        rest = await shop.mails(instance, status="sent", limit=3, after=first["next"])
        assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)
        (mail,) = (await shop.mails(instance, about=str(ann)))["items"]
        assert (mail["key"], mail["status"]) == (f"{ann}:user_registered", "sent")
        transport = httpx.ASGITransport(app.create_app(instance, api.routes(instance)))
        async with httpx.AsyncClient(transport=transport, base_url="http://notification_svc") as client:
            assert (await client.get(f"/mails/{mail['key']}")).json() == mail
            assert (await client.get(f"/mails/{new_id()}:user_registered")).status_code == 404
            assert (await client.get("/mails", params={"status": "lost"})).status_code == 422


def registered(user_id: Any) -> users_svc.UserRegistered:
    return users_svc.UserRegistered(user_id=user_id)


async def test_a_domain_that_defers_everything_delays_no_other_mail(
    shop: Shop, smtp: FakeSmtp, users: Users
) -> None:
    """300 mails to it wait in the database, without using a slot, a queue position or the circuit breaker."""
    smtp.deferring = "later.example"
    async with shop.running() as instance:
        for _ in range(300):
            shop.deliver(confirmed(users.add("ann@later.example")))
        for number in range(30):
            shop.deliver(confirmed(users.add(f"bob{number}@shop.example")))
        await until(lambda: len(smtp.mails) == 30)
        assert circuit_state(instance) == "closed"
        await settled(shop, instance)
        assert smtp.deferred <= 300
        assert not any(message.exchange.startswith("retry") for message in shop.broker.tapped)
        assert (await shop.mails(instance, status="queued", limit=1))["items"], "they are still to be sent"

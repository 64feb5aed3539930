"""A real Prometheus watches a shop under load: every expression has series, and real faults raise alerts."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aio_pika
import httpx
import pytest

from chassis.messaging.message import Message
from chassis.messaging.senders import OPERATOR
from contracts import orders, payments
from contracts.catalog import CATALOG
from contracts.values import OrderLine
from journey.admin.registry import CONSUMING_SERVICES
from journey.devenv.infra.model import Infrastructure
from journey.devenv.infra.monitoring import MonitoringPrograms
from journey.devenv.infra.ports import free_ports
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import register, seed
from tests.support.alert_rules import Expression, alert_expressions, panel_expressions, recorded_names
from tests.support.eventually import until
from tests.support.infrastructure import fresh_system
from tests.support.messages import PLACED
from tests.support.monitoring import Prometheus, Webhook, running_prometheus, running_webhook
from tests.support.monitoring_fixtures import programs as programs
from tests.support.system_fixtures import OrderLoad

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.every_service, pytest.mark.timeout(600)]

WAIT_S = 180.0
BUGGY = "LAMP-DESK"  # orders for it fail in inventory_svc, and are retried


@pytest.fixture
async def shop(real_infrastructure: Infrastructure, tmp_path: Path) -> AsyncIterator[ProcessShop]:
    """With gateway and operations. The retry ladder has its usual delays: others are topology drift."""
    settings = {"JOURNEY_ALLOW_FAULTS": "1", "INVENTORY_FAULT_SKU": BUGGY, "ORDER_DEADLINE_S": "20"}
    async with fresh_system(real_infrastructure, tmp_path, 1.0, settings) as system:
        await system.up(lambda text: None, web=True)
        await seed(system)
        yield system


async def publish(shop: ProcessShop, user: str, message: type[Message]) -> None:
    """An event without a content, sent by this broker user."""
    connection = await aio_pika.connect(shop.endpoints.amqp_url(user))
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(CATALOG.names.events, ensure=False)
        event = aio_pika.Message(
            b"{}", type=message.TYPE, message_id=f"of {user}", user_id=user, content_type="application/json"
        )
        await exchange.publish(event, message.TYPE)


async def test_every_expression_has_series_under_load(
    programs: MonitoringPrograms, shop: ProcessShop, tmp_path: Path
) -> None:
    load = OrderLoad(shop, await register(shop, ["Ada", "Grace"]), seed=7)
    async with running_prometheus(programs, shop, tmp_path / "monitoring") as prometheus:
        using = asyncio.create_task(_use(shop, load))
        try:
            missing = await until(
                lambda: _without_series(prometheus), lambda missing: not missing, within_s=WAIT_S
            )
        except TimeoutError:
            missing = await _without_series(prometheus)
        finally:
            using.cancel()
            await asyncio.wait([using])
        assert missing == []
        assert await prometheus.targets_down() == {}
        assert await prometheus.query("journey_no_such_metric") == [], "a wrong name has no series"
        [drift] = await prometheus.query('journey_topology_drift{service="operations"}')
        assert drift["value"][1] == "0"


async def _use(shop: ProcessShop, load: OrderLoad) -> None:
    """Orders of every outcome, an undecided one, failing messages, and visitors, until cancelled."""
    lines = (OrderLine(sku=BUGGY, quantity=1),)
    failing = orders.PlaceOrder(
        order_id=load.command().order_id, customer_id=load.customers[0], lines=lines, card_token="tok_visa"
    )
    await shop.send("client", failing)
    await publish(shop, OPERATOR, type(PLACED))
    await publish(shop, "payment_svc", payments.PaymentDeclined)
    async with httpx.AsyncClient(base_url=shop.endpoints.shop_url, timeout=30) as http:
        while True:
            await load.place(4)
            for path in ("/", "/api/v1/products", "/login", "/nothing-here"):
                await http.get(path)
            await asyncio.sleep(0.5)


async def _without_series(prometheus: Prometheus) -> list[str]:
    """Each source whose expression has no series; for a panel of one service: for no service at all."""
    services = [*CONSUMING_SERVICES, "operations"]
    sources: dict[str, list[Expression]] = panel_expressions(services)
    sources |= {each.source: [each] for each in alert_expressions()}
    sources |= {f"recording {name}": [Expression(name, name)] for name in recorded_names()}
    missing = []
    for source, expressions in sources.items():
        for expression in expressions:
            if await prometheus.query(expression.text):
                break
        else:
            missing.append(f"{source}: {expressions[-1].text}")
    return missing


CONSUMER_GONE = ("ConsumerGone", {"queue": "payment_svc.events"})
DEAD_LETTERS = ("DeadLetters", {"queue": "order_svc.dead"})
BREAKER_OPEN = ("BreakerOpen", {"service": "notification_svc", "circuit": "effects"})


async def test_real_faults_raise_alerts_that_end_with_them(
    programs: MonitoringPrograms, shop: ProcessShop, tmp_path: Path
) -> None:
    load = OrderLoad(shop, await register(shop, ["Ada", "Grace"]), seed=8)
    with running_webhook() as webhook:
        async with running_prometheus(programs, shop, tmp_path / "monitoring", webhook=webhook) as prometheus:
            consumers = 'rabbitmq_detailed_queue_consumers{queue="payment_svc.events"}'
            await until(lambda: prometheus.query(consumers))
            for name, labels in (CONSUMER_GONE, DEAD_LETTERS, BREAKER_OPEN):
                assert not webhook.received(name, "firing", **labels), "before its fault"

            await shop.stop("payment_svc")
            await publish(shop, "payment_svc", payments.PaymentDeclined)
            await restart_notification(shop, SMTP_URL=f"smtp://127.0.0.1:{free_ports(1)[0]}")
            await load.place(6)
            await sent(webhook, "firing", CONSUMER_GONE, DEAD_LETTERS)
            shop.start("payment_svc")  # orders end now, and cause mails
            await sent(webhook, "firing", BREAKER_OPEN)

            await restart_notification(shop)
            await sent(webhook, "resolved", CONSUMER_GONE, BREAKER_OPEN)
            name, labels = DEAD_LETTERS
            assert not webhook.received(name, "resolved", **labels), "an operator has to act"
            [alert, *_] = webhook.received(name, "firing", **labels)
            assert alert["annotations"]["runbook"] == "docs/runbooks/dead-letters.md"


async def restart_notification(shop: ProcessShop, **settings: str) -> None:
    await shop.stop("notification_svc")
    shop.start("notification_svc", 1, **settings)
    await shop.ready(["notification_svc"])


async def sent(webhook: Webhook, status: str, *alerts: tuple[str, dict[str, str]]) -> None:
    """Wait until Alertmanager has sent these alerts with this status."""
    for name, labels in alerts:
        received = partial(webhook.received, name, status, **labels)
        await until(received, within_s=WAIT_S, otherwise=f"no {name} was sent as {status}")

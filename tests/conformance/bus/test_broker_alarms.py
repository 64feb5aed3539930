"""A broker that is short of disk space: the alarm blocks all publishers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chassis.bus.protocol import BusUnavailable, Delivery, PublishingBlocked
from chassis.bus.rabbitmq import RabbitBus
from chassis.messaging.identity import new_id
from contracts import orders
from contracts.catalog import CATALOG
from journey.admin.broker.management import BrokerAdmin, derived_passwords
from journey.admin.registry import shop_topology
from journey.devenv.infra.local_rabbit import LocalRabbit
from tests.support.eventually import until
from tests.support.recording_consumer import wrapped

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

NEVER_S = 3_600.0  # no confirm is expected: waiting this long fails the test by its timeout


@asynccontextmanager
async def own_broker(state_dir: Path) -> AsyncIterator[LocalRabbit]:
    broker = LocalRabbit(state_dir, one_core=True)
    await broker.start(lambda text: None)
    try:
        yield broker
    finally:
        await broker.stop()


async def short_of_disk_space(broker: LocalRabbit, *, short: bool) -> None:
    await broker.ctl("set_disk_free_limit", "100000GB" if short else "1MB")
    async with BrokerAdmin(broker.management_url) as admin:
        await until(admin.alarms, lambda alarms: bool(alarms) is short, within_s=60)


async def test_publishing_fails_at_once_while_consumers_continue(tmp_path: Path) -> None:
    async with own_broker(tmp_path) as broker:
        topology = shop_topology()
        passwords = derived_passwords(topology, broker.management_url)
        async with BrokerAdmin(broker.management_url) as admin:
            await admin.apply(topology, "/", passwords)
        url = f"amqp://order_svc:{passwords['order_svc']}@127.0.0.1:{broker.settings.amqp_port}/%2F"
        bus, late = RabbitBus(url, response_s_max=NEVER_S), RabbitBus(url, response_s_max=NEVER_S)
        wire_message = wrapped(orders.DeadlinePassed(order_id=new_id()), "").wire_message(CATALOG)
        got: list[Delivery] = []
        await bus.start()
        await late.start()
        try:
            assert await bus.publish([wire_message]) == [None]
            await short_of_disk_space(broker, short=True)
            for publisher in (bus, late, bus):
                [error] = await publisher.publish(
                    [
                        wire_message,
                    ]
                )
                assert isinstance(error, PublishingBlocked) and isinstance(error, BusUnavailable)
                assert "disk" in str(error)
            await bus.subscribe("order_svc.commands", 10, got.append)
            await until(lambda: got, within_s=60)
            await got[0].ack()

            await short_of_disk_space(broker, short=False)
            assert await until(
                lambda: bus.publish([wire_message]), lambda responses: responses == [None], within_s=60
            )
        finally:
            await bus.stop()
            await late.stop()

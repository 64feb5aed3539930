"""Operations on a real RabbitMQ: its figures, and a redrive of fifty dead letters while new ones arrive."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from chassis.bus.rabbitmq import RabbitBus
from chassis.bus.retry_ladder import RetryLadder
from chassis.core import retry
from chassis.messaging.envelope import OPERATOR, WireMessage, wrap
from chassis.messaging.identity import new_id
from contracts.catalog import CATALOG
from contracts.products import ListProduct
from contracts.roles import Role
from contracts.values import Money
from inventory_svc.service import inventory_service
from journey.admin.dead_letters.redrive import REDRIVE
from journey.admin.registry import CONSUMING_SERVICES
from operations.app import create_app
from operations.dead_letters.jobs import JobState
from operations.dependencies import OperationsDependencies
from tests.support.dead_letter_fixtures import Scene
from tests.support.infrastructure import VirtualHost
from tests.support.messages import PLACED
from tests.support.shops.operations import ADA, hidden, operations_on, operations_settings, token

pytestmark = [pytest.mark.real, pytest.mark.every_service]
WAIT_S = 60.0
INBOX, DEAD = "inventory_svc.events", "inventory_svc.dead"


@pytest.fixture
async def deps(vhost: VirtualHost) -> AsyncIterator[OperationsDependencies]:
    settings = operations_settings(
        amqp_url=vhost.url(OPERATOR), rabbitmq_management_url=vhost.management_url, poll_s=1.0
    )
    async with operations_on(settings).open() as deps:
        yield deps


@pytest.fixture
async def staff(deps: OperationsDependencies) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(deps))
    headers = {"Authorization": f"Bearer {token(Role.STAFF)}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://ops", headers=headers, timeout=60
    ) as http:
        yield http


async def die(vhost: VirtualHost, count: int) -> list[str]:
    bus = RabbitBus(vhost.url("inventory_svc"))
    await bus.start()
    wire_messages = [_dead() for _ in range(count)]
    assert await bus.publish(wire_messages) == [None] * count
    await bus.stop()
    return [str(wire_message.message_id) for wire_message in wire_messages]


def _dead() -> WireMessage:
    now = datetime.now(UTC)
    placed = PLACED.model_copy(update={"order_id": new_id()})
    wire_message = replace(
        wrap(placed, id=str(new_id()), source="order_svc", now=now).wire_message(CATALOG), user_id="order_svc"
    )
    return retry.dead_letter(
        wire_message,
        KeyError("shelf"),
        queue=INBOX,
        service=inventory_service(),
        now=now,
        attempt=RetryLadder().attempts_max,
    )


async def arrived(vhost: VirtualHost, queue: str) -> list[str]:
    """Consume everything in a queue."""
    return [str(wire_message.message_id) for wire_message in await Scene(vhost, {}).arrived(queue)]


async def test_redriving_fifty_during_new_failures_counts_exactly(
    deps: OperationsDependencies, staff: httpx.AsyncClient, vhost: VirtualHost
) -> None:
    old = await die(vhost, 50)
    [group] = (await deps.dead_letters.snapshot(refresh=True)).groups
    path = f"/ops/dead-letters/{group.id}/redrive"
    fields = hidden((await staff.get(path)).text)
    new = await die(vhost, 3)
    response = await staff.post(path, data={"rate": "5", **fields})
    assert response.status_code == 303
    location = response.headers["location"]
    again = await staff.post(path, data={"rate": "5", **fields | {"run": str(new_id())}})
    assert again.headers["location"] == location, "the second submit returns the first redrive"
    new += await die(vhost, 3)
    run = deps.jobs.of(location.rpartition("/")[2])
    assert run is not None
    async with asyncio.timeout(WAIT_S):
        while run.state is JobState.RUNNING:
            assert run.processed + run.remaining == 50 and (await staff.get(location)).status_code == 200
            await asyncio.sleep(0.3)
    assert (run.state, run.processed, run.remaining, run.missing, len(run.unsent)) == (
        JobState.DONE,
        50,
        0,
        0,
        0,
    )
    left = await deps.dead_letters.snapshot(refresh=True)
    assert sorted(dead_letter.id for dead_letter in left.dead_letters or ()) == sorted(new), "newcomers stay"
    assert sorted(await arrived(vhost, INBOX)) == sorted(old), "each once, and none of the new ones"
    entries = await deps.broker.audit_entries(200)
    assert sorted(entry.message_id for entry in entries) == sorted(old)
    assert {(entry.action, entry.by, entry.queue) for entry in entries} == {(REDRIVE, str(ADA), INBOX)}
    assert old[0][-8:].upper() in (await staff.get("/ops/audit")).text


async def test_the_queue_statistics_are_those_of_the_broker(
    deps: OperationsDependencies, staff: httpx.AsyncClient, vhost: VirtualHost
) -> None:
    await die(vhost, 4)

    def all_counted() -> bool:
        """The broker updates the statistics of its queues at different times; until then they are unknown."""
        snapshot = deps.poller.snapshot
        return snapshot.queue(DEAD).ready == 4 and None not in {
            service.instances for service in snapshot.services
        }

    async with asyncio.timeout(WAIT_S):
        while not all_counted():
            await deps.poller.wait_for_update(5)
    snapshot = deps.poller.snapshot
    assert snapshot.missing == [] and snapshot.unknown_since is None and list(snapshot.alarms) == []
    assert {service.instances for service in snapshot.services} == {0}
    page = (await staff.get("/ops")).text
    assert (
        "no consumer: its messages wait" in page
        and 'href="/ops/dead-letters?service=inventory_svc">4</a>' in page
    )
    assert len(snapshot.services) == len(CONSUMING_SERVICES)


async def test_a_command_of_the_staff_arrives_and_is_audited_first(
    deps: OperationsDependencies, vhost: VirtualHost
) -> None:
    price = Money(amount_minor=100, currency="EUR")
    command = ListProduct(sku="CUP", title="Cup", category="kitchen", price=price)
    await deps.broker.send_command(command, str(ADA))
    [entry] = await deps.broker.audit_entries(200)
    assert (entry.action, entry.type, entry.by) == ("command", ListProduct.TYPE, str(ADA))
    assert await arrived(vhost, "product_svc.commands") == [entry.message_id]

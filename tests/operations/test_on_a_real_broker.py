"""Operations on a real RabbitMQ: its figures, and a redrive of fifty letters while new ones die."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from chassis import retry
from chassis.rabbit import RabbitBus
from contracts.envelope import OPERATOR, Parcel, seal
from contracts.identity import new_id
from contracts.products import ListProduct
from contracts.roles import Role
from contracts.values import Money
from journey.services import HEARERS
from journey.settling import REDRIVE
from operations.app import application
from operations.desk import Desk
from operations.runs import State
from tests.conformance.dying import Scene
from tests.examples import PLACED
from tests.infrastructure import VirtualHost
from tests.operations.desks import ADA, Town, desk_settings, hidden, token

pytestmark = pytest.mark.real
WAIT_S = 60.0
INBOX, DEAD = "inventory_svc.events", "inventory_svc.dead"


@pytest.fixture
async def desk(vhost: VirtualHost) -> AsyncIterator[Desk]:
    settings = desk_settings(amqp_url=vhost.url(OPERATOR), rabbitmq_management_url=vhost.management_url, poll_s=1.0)
    async with Desk(settings, transport=Town()).open() as desk:
        yield desk


@pytest.fixture
async def staff(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(desk))
    headers = {"Authorization": f"Bearer {token(Role.STAFF)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://ops", headers=headers, timeout=60) as http:
        yield http


async def die(vhost: VirtualHost, count: int) -> list[str]:
    bus = RabbitBus(vhost.url("inventory_svc"))
    await bus.start()
    parcels = [_dead() for _ in range(count)]
    assert await bus.publish(parcels) == [None] * count
    await bus.stop()
    return [str(parcel.message_id) for parcel in parcels]


def _dead() -> Parcel:
    now = datetime.now(UTC)
    placed = PLACED.model_copy(update={"order_id": new_id()})
    parcel = replace(seal(placed, id=str(new_id()), source="order_svc", now=now).parcel(), user_id="order_svc")
    return retry.dead_letter(parcel, INBOX, "inventory_svc", KeyError("shelf"), now, retry.ATTEMPTS_MAX)


async def arrived(vhost: VirtualHost, queue: str) -> list[str]:
    """All that lies in a queue, taken."""
    return [str(parcel.message_id) for parcel in await Scene(vhost, {}).arrived(queue)]


async def test_fifty_go_back_while_new_ones_die_and_the_counts_add_up(
    desk: Desk, staff: httpx.AsyncClient, vhost: VirtualHost
) -> None:
    old = await die(vhost, 50)
    [group] = (await desk.letters.look(anew=True)).groups
    path = f"/ops/dead-letters/{group.id}/redrive"
    fields = hidden((await staff.get(path)).text)
    new = await die(vhost, 3)
    answer = await staff.post(path, data={"rate": "5", **fields})
    assert answer.status_code == 303
    location = answer.headers["location"]
    again = await staff.post(path, data={"rate": "5", **fields | {"run": str(new_id())}})
    assert again.headers["location"] == location, "the second press is the first redrive"
    new += await die(vhost, 3)
    run = desk.runs.of(location.rpartition("/")[2])
    assert run is not None
    async with asyncio.timeout(WAIT_S):
        while run.state is State.RUNNING:
            assert run.gone + run.waiting == 50 and (await staff.get(location)).status_code == 200
            await asyncio.sleep(0.3)
    assert (run.state, run.gone, run.waiting, run.missing, len(run.unsent)) == (State.DONE, 50, 0, 0, 0)
    left = await desk.letters.look(anew=True)
    assert sorted(letter.id for letter in left.letters or ()) == sorted(new), "newcomers stay"
    assert sorted(await arrived(vhost, INBOX)) == sorted(old), "each once, and no newcomer"
    entries = await desk.broker.acts(200)
    assert sorted(entry.message_id for entry in entries) == sorted(old)
    assert {(entry.action, entry.by, entry.queue) for entry in entries} == {(REDRIVE, str(ADA), INBOX)}
    assert old[0][-8:].upper() in (await staff.get("/ops/audit")).text


async def test_the_figures_are_the_brokers(desk: Desk, staff: httpx.AsyncClient, vhost: VirtualHost) -> None:
    await die(vhost, 4)

    def all_counted() -> bool:
        """The broker does not count all of its queues at the same moment; until then their figures are unknown."""
        picture = desk.watch.picture
        return picture.queue(DEAD).ready == 4 and None not in {service.instances for service in picture.services}

    async with asyncio.timeout(WAIT_S):
        while not all_counted():
            await desk.watch.news(5)
    picture = desk.watch.picture
    assert picture.missing == [] and picture.silent_since is None and list(picture.alarms) == []
    assert {service.instances for service in picture.services} == {0}
    page = (await staff.get("/ops")).text
    assert "no consumer: its messages wait" in page and 'href="/ops/dead-letters?service=inventory_svc">4</a>' in page
    assert len(picture.services) == len(HEARERS)


async def test_a_command_of_the_staff_arrives_and_is_audited_first(desk: Desk, vhost: VirtualHost) -> None:
    price = Money(amount_minor=100, currency="EUR")
    command = ListProduct(sku="CUP", title="Cup", category="kitchen", price=price)
    await desk.broker.give(command, str(ADA))
    [entry] = await desk.broker.acts(200)
    assert (entry.action, entry.type, entry.by) == ("command", ListProduct.TYPE, str(ADA))
    assert await arrived(vhost, "product_svc.commands") == [entry.message_id]

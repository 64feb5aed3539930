"""What a bounded queue discarded, or a missing binding did not deliver,
is repaired from the journal exactly once.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import aio_pika
import httpx
import pytest
from pamqp.commands import Queue

from chassis.bus.retry_ladder import RetryLadder
from chassis.messaging.envelope import OPERATOR
from contracts import orders
from contracts.catalog import NAMES
from journey.admin import paging
from journey.admin.registry import SERVICES
from journey.devenv.infra.ports import free_ports
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import message_ids
from tests.support.cli_runner import finish_journey, start_journey
from tests.support.eventually import until
from tests.support.meddler import Meddler
from tests.support.system_fixtures import LAST_MAIL, OrderLoad, last_mail

LADDER = RetryLadder().names

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

ORDERS = 200
BOUND = 40
WAIT_S_MAX = 120.0
BACKFILL = ("backfill", "notification_svc", "--since", "1h")
FULL = ("--service", "notification_svc", "--error", "the queue was full")
FORGET = ("dlq", "drop", *FULL)


@pytest.fixture
async def meddler(system: ProcessShop) -> AsyncIterator[Meddler]:
    base = f"{system.infrastructure.management_url}/api/"
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        yield Meddler(http, system.endpoints.vhost)


async def journey(system: ProcessShop, *parts: str) -> str:
    """Run the command as an operator would; it must succeed."""
    code, output = await asyncio.wait_for(finish_journey(system.state_dir, *parts), WAIT_S_MAX)
    assert code == 0, output
    return output


async def copies(system: ProcessShop, order_load: OrderLoad) -> Counter[int]:
    """Number of mail copies -> number of orders, for the mail about each order's outcome."""
    found = await message_ids(system)
    return Counter(found[last_mail(order_id, status)] for order_id, status in order_load.expected.items())


async def without_mail(system: ProcessShop, order_load: OrderLoad) -> int:
    return len(await orders_without_mail(system, order_load))


async def orders_without_mail(system: ProcessShop, order_load: OrderLoad) -> set[UUID]:
    found = await message_ids(system)
    return {
        order_id for order_id, status in order_load.expected.items() if not found[last_mail(order_id, status)]
    }


async def one_mail_per_order_and_kind(system: ProcessShop, order_load: OrderLoad) -> None:
    await until(lambda: without_mail(system, order_load), lambda lacking: not lacking, within_s=WAIT_S_MAX)
    assert await copies(system, order_load) == {1: len(order_load.expected)}


async def whereabouts(system: ProcessShop) -> tuple[int, int]:
    """The number of commands to send mails on the retry ladder, and in their queue."""
    *ladder, commands = await declared(system, *LADDER, "notification_svc.commands")
    return sum(rung.message_count or 0 for rung in ladder), commands.message_count or 0


def is_at_rest() -> Callable[[tuple[int, int]], bool]:
    """Whether the retry ladder is empty and nothing has moved for three looks.

    A message on its way from the ladder to the queue is counted in neither.
    """
    looks: deque[tuple[int, int]] = deque(maxlen=3)

    def at_rest(found: tuple[int, int]) -> bool:
        looks.append(found)
        on_ladder, _ = found
        return len(looks) == 3 and len(set(looks)) == 1 and not on_ladder

    return at_rest


async def orders_of_commands(system: ProcessShop) -> set[UUID]:
    """The orders that the commands in the queue of notification_svc are about. They stay in the queue."""
    found = set[UUID]()
    async with await aio_pika.connect(system.endpoints.amqp_url(OPERATOR)) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("notification_svc.commands", ensure=False)
        while (message := await queue.get(fail=False)) is not None:
            found.add(UUID(json.loads(message.body)["about"]))
    return found


async def left_behind(system: ProcessShop, *queues: str) -> int:
    """Ready messages as soon as the broker has noticed that the consumers are gone: then it has put back what
    they had not acknowledged.
    """
    found = await until(
        lambda: declared(system, *queues),
        lambda found: not any(queue.consumer_count for queue in found),
        within_s=WAIT_S_MAX,
    )
    return sum(queue.message_count or 0 for queue in found)


async def declared(system: ProcessShop, *queues: str) -> list[Queue.DeclareOk]:
    connection = await aio_pika.connect(system.endpoints.amqp_url(OPERATOR))
    async with connection:
        channel = await connection.channel()
        found = [await channel.declare_queue(queue, passive=True) for queue in queues]
        return [queue.declaration_result for queue in found]


async def statuses(system: ProcessShop) -> Counter[str]:
    async with httpx.AsyncClient() as http:
        found = [item async for item in paging.pages(http, f"{system.endpoints.http['order_svc']}/orders")]
    return Counter(f"{order['status']} {' '.join(order['awaits'])}".strip() for order in found)


async def unhandled_after_stop(system: ProcessShop, smtp_url: str) -> int:
    """Stop notification_svc; start it again if it has left events.

    Returns the number of events that it left.
    """
    await system.stop("notification_svc")
    if left := await left_behind(system, *SERVICES["notification_svc"]().events_queues):
        system.start("notification_svc", SMTP_URL=smtp_url)
        await system.ready(["notification_svc"])
    return left


async def outcome_mails(system: ProcessShop, status: str) -> int:
    async with httpx.AsyncClient() as http:
        found = [
            item async for item in paging.pages(http, f"{system.endpoints.http['notification_svc']}/mails")
        ]
    return sum(mail["status"] == status and mail["kind"] in LAST_MAIL.values() for mail in found)


async def test_after_a_notification_outage_backfill_sends_each_mail_once(
    system: ProcessShop, order_load: OrderLoad, meddler: Meddler
) -> None:
    healthy, faulty = (
        OrderLoad(system, order_load.customers, 4711),
        OrderLoad(system, order_load.customers, 4711),
    )
    await healthy.place(ORDERS)
    await healthy.all_end_as_expected(wait_s=WAIT_S_MAX)
    await one_mail_per_order_and_kind(system, healthy)

    await system.stop("notification_svc")
    await meddler.bound("notification_svc.events", BOUND)
    await faulty.place(ORDERS)
    await faulty.all_end_as_expected(wait_s=WAIT_S_MAX)
    assert list(faulty.expected.values()) == list(healthy.expected.values()), (
        "the same seed, the same endings"
    )

    system.start("notification_svc")
    await system.ready(["notification_svc"])
    lost = await until(
        lambda: without_mail(system, faulty), lambda lacking: lacking == ORDERS - BOUND, within_s=WAIT_S_MAX
    )
    handled_type = 2 * ORDERS + len(order_load.customers)  # the outcomes of all orders, and the registrations
    assert f"{handled_type} events would be published" in await journey(system, *BACKFILL, "--dry-run")
    assert await without_mail(system, faulty) == lost

    # The low limit still applies: a larger batch would displace what backfill has just published.
    await killed_on_its_way(system, faulty, lost)
    await journey(system, *BACKFILL)
    await one_mail_per_order_and_kind(system, faulty)
    await one_mail_per_order_and_kind(system, healthy)
    assert "same status in order_svc" in await journey(system, "replay", "--check")
    await journey(system, *FORGET, "--reason", "backfilled", "--yes")
    await order_load.doctor_agrees()


async def killed_on_its_way(system: ProcessShop, order_load: OrderLoad, lost: int) -> None:
    slow = await start_journey(system.state_dir, *BACKFILL, "--rate", "20")
    await until(lambda: without_mail(system, order_load), lambda lacking: lacking < lost, within_s=WAIT_S_MAX)
    slow.kill()
    await slow.wait()
    assert await without_mail(system, order_load) > 0, "it was to be killed before it is done"


async def test_backfill_repeats_discarded_mail_commands(
    system: ProcessShop, order_load: OrderLoad, meddler: Meddler
) -> None:
    """The events were handled long ago; they lead to the same stored messages again, which repairs this."""
    await system.stop("notification_svc")
    nothing_listens = f"smtp://127.0.0.1:{free_ports(1)[0]}"
    system.start("notification_svc", SMTP_URL=nothing_listens)
    await system.ready(["notification_svc"])
    await order_load.place(20)
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    await until(lambda: outcome_mails(system, "queued"), lambda queued: queued == 20, within_s=WAIT_S_MAX)
    # An event that is stored but not acknowledged is delivered again and publishes its command again, so the
    # service is stopped until it has acknowledged all of them.
    await until(
        lambda: unhandled_after_stop(system, nothing_listens), lambda left: left == 0, within_s=WAIT_S_MAX
    )
    await until(lambda: whereabouts(system), is_at_rest(), within_s=WAIT_S_MAX)
    # Commands of the other mails are handled: the mailer has deferred these mails, and will be reminded.
    waiting = await orders_of_commands(system)
    assert len(waiting) > 1

    await meddler.bound("notification_svc.commands", 1)
    await until(lambda: whereabouts(system), lambda found: found == (0, 1), within_s=WAIT_S_MAX)
    discarded = waiting - await orders_of_commands(system)
    await meddler.unbound("notification_svc.commands")
    system.start("notification_svc")
    await system.ready(["notification_svc"])
    await until(
        lambda: orders_without_mail(system, order_load),
        lambda lacking: lacking == discarded,
        within_s=WAIT_S_MAX,
    )
    await journey(system, *BACKFILL)
    await one_mail_per_order_and_kind(system, order_load)
    await journey(system, *FORGET, "--reason", "backfilled", "--yes")
    await order_load.doctor_agrees()


async def test_orders_stopped_by_a_missing_binding_end_after_backfill(
    system: ProcessShop, order_load: OrderLoad, meddler: Meddler
) -> None:
    await meddler.unbind("payment_svc.events", orders.OrderPlaced.TYPE)
    await order_load.place(60)
    # Only orders that are out of stock end without payment_svc.
    hanging = await until(
        lambda: statuses(system),
        lambda found: found["placed payment"] + found["cancelled"] == 60,
        within_s=WAIT_S_MAX,
    )
    assert hanging["placed payment"] > 0
    drift = await system.topology_plan()
    assert drift == [
        f"binding of {NAMES.events} to payment_svc.events by {orders.OrderPlaced.TYPE} is missing"
    ]

    await system.apply_topology()
    assert await statuses(system) == hanging, "the binding brings only events that are emitted from now on"
    await journey(system, "backfill", "payment_svc", "--since", "1h")
    await order_load.all_end_as_expected(wait_s=WAIT_S_MAX)
    await order_load.one_mail_each(wait_s=WAIT_S_MAX)
    await order_load.doctor_agrees()
    await journey(system, "backfill", "payment_svc", "--since", "1h")
    await order_load.doctor_agrees()
    assert "same status in order_svc" in await journey(system, "replay", "--check")

"""What a bounded queue discarded, or a missing binding did not deliver,
is repaired from the journal exactly once.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import quote

import aio_pika
import httpx
import pytest

from chassis.bus.retry_ladder import RetryLadder
from chassis.bus.topology_model import Policy
from chassis.messaging.envelope import EVENTS, OPERATOR
from contracts import orders
from contracts.notifications import MailKind
from journey.admin import paging
from journey.admin.registry import shop_topology
from journey.devenv.infra.ports import free_ports
from journey.devenv.process_shop import ProcessShop
from journey.devenv.shop import copies_in_mailbox
from tests.support.cli_runner import finish_journey, start_journey
from tests.support.eventually import until
from tests.support.system_fixtures import Crowd

LADDER = RetryLadder().names

pytestmark = [pytest.mark.real, pytest.mark.system, pytest.mark.timeout(1200)]

ORDERS = 200
BOUND = 40
PATIENCE_S = 120.0
LAST_MAIL = {"confirmed": MailKind.ORDER_CONFIRMED, "cancelled": MailKind.ORDER_CANCELLED}
BACKFILL = ("backfill", "notification_svc", "--since", "1h")
FORGET = ("dlq", "drop", "--service", "notification_svc", "--error", "the queue was full")


class Meddler:
    """An operator's direct changes of the broker through its management API."""

    def __init__(self, http: httpx.AsyncClient, vhost: str) -> None:
        self._http = http
        self._vhost = vhost

    async def bound(self, queue: str, messages: int) -> None:
        """The usual policy, with a much lower limit."""
        usual = usual_policy(queue)
        policy = {
            "pattern": f"^{queue.replace('.', '[.]')}$",
            "apply-to": "queues",
            "priority": 10,
            "definition": {**usual.definition, "max-length": messages},
        }
        (await self._http.put(f"policies/{self._vhost}/tight", json=policy)).raise_for_status()
        await until(lambda: self._policy(queue), lambda name: name == "tight", within_s=PATIENCE_S)

    async def unbound(self, queue: str) -> None:
        (await self._http.delete(f"policies/{self._vhost}/tight")).raise_for_status()
        await until(
            lambda: self._policy(queue), lambda name: name == usual_policy(queue).name, within_s=PATIENCE_S
        )

    async def unbind(self, queue: str, key: str) -> None:
        path = f"bindings/{self._vhost}/e/{EVENTS}/q/{queue}/{quote(key, safe='')}"
        (await self._http.delete(path)).raise_for_status()

    async def _policy(self, queue: str) -> object:
        return (await self._http.get(f"queues/{self._vhost}/{queue}")).raise_for_status().json().get("policy")


def usual_policy(queue: str) -> Policy:
    return next(policy for policy in shop_topology().policies if re.search(policy.pattern, queue))


@pytest.fixture
async def meddler(system: ProcessShop) -> AsyncIterator[Meddler]:
    base = f"{system.infrastructure.management_url}/api/"
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        yield Meddler(http, system.endpoints.vhost)


async def journey(system: ProcessShop, *words: str) -> str:
    """Run the command as an operator would; it must succeed."""
    code, output = await asyncio.wait_for(finish_journey(system.state_dir, *words), PATIENCE_S)
    assert code == 0, output
    return output


async def copies(system: ProcessShop, crowd: Crowd) -> Counter[int]:
    """Number of mail copies -> number of orders, for the mail about each order's outcome."""
    found = {kind: await copies_in_mailbox(system, kind) for kind in LAST_MAIL.values()}
    return Counter(found[LAST_MAIL[status]](order_id) for order_id, status in crowd.expected.items())


async def without_mail(system: ProcessShop, crowd: Crowd) -> int:
    return (await copies(system, crowd))[0]


async def one_mail_per_order_and_kind(system: ProcessShop, crowd: Crowd) -> None:
    await until(lambda: without_mail(system, crowd), lambda lacking: not lacking, within_s=PATIENCE_S)
    assert await copies(system, crowd) == {1: len(crowd.expected)}


async def depth(system: ProcessShop, *queues: str) -> int:
    """Ready and unacknowledged messages; the broker updates these counts every few seconds."""
    async with system.admin as admin:
        depths = await admin.depths(system.endpoints.vhost)
    return sum((depths[queue].ready or 0) + (depths[queue].unacked or 0) for queue in queues)


async def ready(system: ProcessShop, *queues: str) -> int:
    """Ready messages, read in the order of `queues`; unlike `depth`, these counts are always current."""
    connection = await aio_pika.connect(system.endpoints.amqp_url(OPERATOR))
    async with connection:
        channel = await connection.channel()
        found = [await channel.declare_queue(queue, passive=True) for queue in queues]
        return sum(queue.declaration_result.message_count or 0 for queue in found)


async def statuses(system: ProcessShop) -> Counter[str]:
    async with httpx.AsyncClient() as http:
        found = [item async for item in paging.pages(http, f"{system.endpoints.http['order_svc']}/orders")]
    return Counter(f"{order['status']} {' '.join(order['awaits'])}".strip() for order in found)


async def unhandled_after_stop(system: ProcessShop, smtp_url: str) -> int:
    """Stop notification_svc; start it again if it has left events.

    Returns the number of events that it left.
    """
    await system.stop("notification_svc")
    if left := await ready(system, "notification_svc.events"):
        system.start("notification_svc", SMTP_URL=smtp_url)
        await system.ready(["notification_svc"])
    return left


async def outcome_mails(system: ProcessShop, status: str) -> int:
    async with httpx.AsyncClient() as http:
        found = [
            item async for item in paging.pages(http, f"{system.endpoints.http['notification_svc']}/mails")
        ]
    return sum(mail["status"] == status and mail["kind"] in LAST_MAIL.values() for mail in found)


async def test_a_dead_notification_service_changes_no_order_and_backfill_brings_each_mail_once(
    system: ProcessShop, crowd: Crowd, meddler: Meddler
) -> None:
    healthy, faulty = Crowd(system, crowd.customers, 4711), Crowd(system, crowd.customers, 4711)
    await healthy.place(ORDERS)
    await healthy.all_end_as_expected(wait_s=PATIENCE_S)
    await one_mail_per_order_and_kind(system, healthy)

    await system.stop("notification_svc")
    await meddler.bound("notification_svc.events", BOUND)
    await faulty.place(ORDERS)
    await faulty.all_end_as_expected(wait_s=PATIENCE_S)
    assert list(faulty.expected.values()) == list(healthy.expected.values()), (
        "the same seed, the same endings"
    )

    system.start("notification_svc")
    await system.ready(["notification_svc"])
    lost = await until(
        lambda: without_mail(system, faulty), lambda lacking: lacking == ORDERS - BOUND, within_s=PATIENCE_S
    )
    heard = 2 * ORDERS + len(crowd.customers)  # the outcomes of all orders, and the registrations
    assert f"{heard} events would be published" in await journey(system, *BACKFILL, "--dry-run")
    assert await without_mail(system, faulty) == lost

    # The low limit still applies: a larger batch would displace what backfill has just published.
    await killed_on_its_way(system, faulty, lost)
    await journey(system, *BACKFILL)
    await one_mail_per_order_and_kind(system, faulty)
    await one_mail_per_order_and_kind(system, healthy)
    assert "same status in order_svc" in await journey(system, "replay", "--check")
    await journey(system, *FORGET, "--reason", "backfilled", "--yes")
    await crowd.doctor_agrees()


async def killed_on_its_way(system: ProcessShop, crowd: Crowd, lost: int) -> None:
    slow = await start_journey(system.state_dir, *BACKFILL, "--rate", "20")
    await until(lambda: without_mail(system, crowd), lambda lacking: lacking < lost, within_s=PATIENCE_S)
    slow.kill()
    await slow.wait()
    assert await without_mail(system, crowd) > 0, "it was to be killed before it is done"


async def test_mails_whose_commands_were_thrown_away_are_asked_for_again_by_backfill(
    system: ProcessShop, crowd: Crowd, meddler: Meddler
) -> None:
    """The events were handled long ago; they lead to the same stored messages again, which repairs this."""
    await system.stop("notification_svc")
    await meddler.bound("notification_svc.commands", 1)
    nothing_listens = f"smtp://127.0.0.1:{free_ports(1)[0]}"
    system.start("notification_svc", SMTP_URL=nothing_listens)
    await system.ready(["notification_svc"])
    await crowd.place(20)
    await crowd.all_end_as_expected(wait_s=PATIENCE_S)
    await until(lambda: outcome_mails(system, "queued"), lambda queued: queued == 20, within_s=PATIENCE_S)
    # An event that is stored but not acknowledged is delivered again and publishes its command again, so the
    # service is stopped until it has acknowledged all of them.
    await until(
        lambda: unhandled_after_stop(system, nothing_listens), lambda left: left == 0, within_s=PATIENCE_S
    )
    # The queue is read after the retry ladder, because messages move from the ladder to it.
    await until(
        lambda: ready(system, *LADDER, "notification_svc.commands"),
        lambda left: left <= 1,
        within_s=PATIENCE_S,
    )

    await meddler.unbound("notification_svc.commands")
    system.start("notification_svc")
    await system.ready(["notification_svc"])
    await until(
        lambda: depth(system, *LADDER, "notification_svc.commands"),
        lambda left: left == 0,
        within_s=PATIENCE_S,
    )
    assert await without_mail(system, crowd) > 10, "most of the commands were to be discarded"
    await journey(system, *BACKFILL)
    await one_mail_per_order_and_kind(system, crowd)
    await journey(system, *FORGET, "--reason", "backfilled", "--yes")
    await crowd.doctor_agrees()


async def test_orders_that_hang_on_a_missing_binding_end_once_after_backfill(
    system: ProcessShop, crowd: Crowd, meddler: Meddler
) -> None:
    await meddler.unbind("payment_svc.events", orders.OrderPlaced.TYPE)
    await crowd.place(60)
    # Only orders that are out of stock end without payment_svc.
    hanging = await until(
        lambda: statuses(system),
        lambda found: found["placed payment"] + found["cancelled"] == 60,
        within_s=PATIENCE_S,
    )
    assert hanging["placed payment"] > 0
    drift = await system.topology_plan()
    assert drift == [f"binding of {EVENTS} to payment_svc.events by {orders.OrderPlaced.TYPE} is missing"]

    await system.apply_topology()
    assert await statuses(system) == hanging, "the binding brings what is said from now on, and nothing else"
    await journey(system, "backfill", "payment_svc", "--since", "1h")
    await crowd.all_end_as_expected(wait_s=PATIENCE_S)
    await crowd.one_mail_each(wait_s=PATIENCE_S)
    await crowd.doctor_agrees()
    await journey(system, "backfill", "payment_svc", "--since", "1h")
    await crowd.doctor_agrees()
    assert "same status in order_svc" in await journey(system, "replay", "--check")

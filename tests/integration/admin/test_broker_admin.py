"""The topology on a real broker: applying it twice changes nothing, drift is reported,
and applying repairs it.
"""

from collections.abc import AsyncIterator

import httpx
import pytest

from chassis.bus import rabbitmq_subscription
from chassis.messaging.message import Command
from chassis.messaging.partitions import input_queue_of
from contracts.catalog import CATALOG, NAMES
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin, Depth
from journey.devenv.infra.ports import free_ports
from tests.support.brokers import RabbitMq
from tests.support.eventually import until
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import WAIT_S_MAX, Inbox, placed, widened

pytestmark = [pytest.mark.real, pytest.mark.every_service]

QUEUE = "order_svc.events"


@pytest.fixture
async def admin(vhost: VirtualHost) -> AsyncIterator[BrokerAdmin]:
    async with vhost.admin as admin:
        yield admin


@pytest.fixture
async def api(vhost: VirtualHost) -> AsyncIterator[httpx.AsyncClient]:
    """The management API, for manual changes."""
    async with httpx.AsyncClient(base_url=f"{vhost.management_url}/api/", timeout=30) as client:
        yield client


async def drift(admin: BrokerAdmin, vhost: VirtualHost) -> list[str]:
    return await admin.plan(vhost.topology, vhost.name)


async def test_an_applied_topology_has_no_drift_also_when_applied_again(
    admin: BrokerAdmin, vhost: VirtualHost
) -> None:
    assert await drift(admin, vhost) == []
    await vhost.apply()
    assert await drift(admin, vhost) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "emitted"),
    [
        ("DELETE", f"queues/VHOST/{QUEUE}", None, f"queue {QUEUE} is missing"),
        ("DELETE", "exchanges/VHOST/events", None, "exchange events is missing"),
        (
            "DELETE",
            f"bindings/VHOST/e/events/q/{NAMES.journal}/%23",
            None,
            f"binding of events to {NAMES.journal} by # is missing",
        ),
        ("DELETE", f"policies/VHOST/{NAMES.journal}", None, f"policy {NAMES.journal} is missing"),
        ("DELETE", "permissions/VHOST/order_svc", None, "permission of order_svc is missing"),
        ("DELETE", "topic-permissions/VHOST/order_svc", None, "permission of order_svc on events is missing"),
        (
            "PUT",
            "policies/VHOST/retry.5s",
            {"pattern": "^retry[.]5s$", "apply-to": "queues", "definition": {"message-ttl": 1}},
            "policy retry.5s is ",
        ),
        (
            "PUT",
            "permissions/VHOST/client",
            {"configure": ".*", "write": ".*", "read": ".*"},
            "permission of client is ",
        ),
    ],
)
async def test_drift_is_named_and_applying_mends_it(
    admin: BrokerAdmin,
    vhost: VirtualHost,
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: dict[str, object] | None,
    emitted: str,
) -> None:
    (await api.request(method, path.replace("VHOST", vhost.name), json=body)).raise_for_status()
    assert any(sentence.startswith(emitted) for sentence in await drift(admin, vhost))
    await vhost.apply()
    assert await drift(admin, vhost) == []


@pytest.mark.parametrize(
    ("path", "body", "emitted"),
    [
        ("queues/VHOST/mine", {"durable": True}, "queue mine is extra: nothing uses it"),
        ("exchanges/VHOST/mine", {"type": "fanout"}, "exchange mine is extra: nothing uses it"),
        (
            "policies/VHOST/mine",
            {"pattern": "^x$", "definition": {"max-length": 1}},
            "policy mine is extra: nothing uses it",
        ),
    ],
)
async def test_unneeded_resources_are_named_and_kept(
    admin: BrokerAdmin,
    vhost: VirtualHost,
    api: httpx.AsyncClient,
    path: str,
    body: dict[str, object],
    emitted: str,
) -> None:
    (await api.put(path.replace("VHOST", vhost.name), json=body)).raise_for_status()
    assert await drift(admin, vhost) == [emitted]
    await vhost.apply()
    assert await drift(admin, vhost) == [emitted]


async def test_a_queue_of_the_wrong_type_is_named(
    admin: BrokerAdmin, vhost: VirtualHost, api: httpx.AsyncClient
) -> None:
    await admin.delete_queue(vhost.name, QUEUE)
    wrong = {"durable": True, "arguments": {"x-queue-type": "classic"}}
    (await api.put(f"queues/{vhost.name}/{QUEUE}", json=wrong)).raise_for_status()
    assert f"queue {QUEUE} is classic, but should be quorum" in await drift(admin, vhost)


async def test_a_virtual_host_that_is_not_there_is_named(admin: BrokerAdmin, vhost: VirtualHost) -> None:
    await admin.delete_vhost(vhost.name)
    await admin.delete_vhost(vhost.name)
    assert await drift(admin, vhost) == [f"virtual host {vhost.name} is missing, with everything in it"]
    assert await admin.depths("never-made") == {}


async def test_applying_again_loses_no_message(rabbit: RabbitMq) -> None:
    wire_message, inbox = placed(), Inbox()
    await (await rabbit.bus("order_svc")).publish([wire_message])
    await rabbit.vhost.apply()
    await (await rabbit.bus("inventory_svc")).subscribe("inventory_svc.events", 10, inbox)
    await inbox.has(1)
    assert inbox.ids == [wire_message.message_id]


async def test_depths_are_returned_once_the_broker_has_counted(
    rabbit: RabbitMq, admin: BrokerAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_subscription, "PROBATION_S", 0.0)
    held = Inbox(acks=False)
    subscription = await (await rabbit.bus("inventory_svc")).subscribe("inventory_svc.events", 2, held)
    sender = await rabbit.bus("order_svc")
    await sender.publish([placed()])
    await held.has(1)
    await widened(subscription)
    await held.deliveries.pop().ack()  # until the first one is settled, one more may be delivered
    await sender.publish([placed() for _ in range(5)])
    await held.has(2)
    depths = await until(
        lambda: admin.depths(rabbit.vhost.name),
        lambda depths: depths["inventory_svc.events"] == Depth(ready=3, unacked=2, consumers=1),
        within_s=WAIT_S_MAX,
    )
    assert {queue.name for queue in rabbit.vhost.topology.queues} == depths.keys()


async def test_fill_is_the_used_share_of_a_bounded_queue(
    admin: BrokerAdmin, vhost: VirtualHost, api: httpx.AsyncClient
) -> None:
    policy = {"pattern": "^mine$", "apply-to": "queues", "definition": {"max-length": 4}, "priority": 9}
    message = {"properties": {}, "routing_key": "mine", "payload": "x", "payload_encoding": "string"}
    for method, path, body in (
        ("PUT", "queues/VHOST/mine", {"durable": True}),
        ("PUT", "policies/VHOST/mine", policy),
        ("POST", "exchanges/VHOST/amq.default/publish", message),
    ):
        (await api.request(method, path.replace("VHOST", vhost.name), json=body)).raise_for_status()
    fill = await until(
        lambda: admin.queue_fill(vhost.name),
        lambda fill: fill.get("mine") and "order_svc.dead" in fill,
        within_s=WAIT_S_MAX,
    )
    assert fill["mine"] == 0.25 and fill["order_svc.dead"] == 0
    assert NAMES.journal not in fill, "a full stream is normal"
    assert QUEUE not in fill, "it has no limit"


async def test_every_command_has_one_queue_and_events_are_journaled(vhost: VirtualHost) -> None:
    bound = {(binding.exchange, binding.key): binding.queue for binding in vhost.topology.bindings}
    for type_, contract in CATALOG.items():
        if issubclass(contract, Command):
            assert input_queue_of(bound["commands", type_]) == f"{contract.OWNER}.commands"
    assert bound["events", "#"] == NAMES.journal
    assert bound[NAMES.dead, "order_svc"] == "order_svc.dead"


async def test_a_wrong_password_is_reported_with_the_remedy(vhost: VirtualHost) -> None:
    scheme, _, rest = vhost.management_url.partition("://")
    async with BrokerAdmin(f"{scheme}://nobody:wrong@{rest.rpartition('@')[2]}") as admin:
        with pytest.raises(AdminUnavailable, match="set_user_tags nobody administrator"):
            await drift(admin, vhost)


async def test_an_unreachable_broker_is_reported_with_the_remedy(vhost: VirtualHost) -> None:
    [port] = free_ports(1)
    async with BrokerAdmin(f"http://app:secret@127.0.0.1:{port}") as admin:
        with pytest.raises(AdminUnavailable, match="rabbitmq_management") as reported:
            await drift(admin, vhost)
    assert "secret" not in str(reported.value)

"""Client programs on the real broker: each has its own user and queues, and no access to those of others."""

import json
import re
from datetime import UTC, datetime

import aio_pika
import aiormq
import httpx
import pytest

from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from contracts import orders
from contracts.catalog import CATALOG, NAMES
from contracts.values import OrderLine
from journey.admin.broker import client_users
from journey.admin.broker.client_users import ClientUser, NotAllowed
from journey.client import Client
from tests.integration.clients.broker_client import (
    WORK,
    ClientCommands,
    bind,
    declare,
    is_cut,
    path_of,
    publish_as_order_svc,
    refused,
)
from tests.support.eventually import until

MISUSED = 2


def a_command() -> orders.PlaceOrder:
    lines = (OrderLine(sku="TEA-GREEN", quantity=1),)
    return orders.PlaceOrder(order_id=new_id(), customer_id=new_id(), lines=lines, card_token="tok_visa")


@pytest.mark.parametrize(
    "name", ["", "A", "a.b", "a b", "1a", "-a", "a*", "a.", "a|b", "a\n", "ä", "a" * 41, ".*"]
)
def test_a_name_that_could_reach_other_queues_is_refused(name: str) -> None:
    with pytest.raises(NotAllowed, match="is no valid client name"):
        ClientUser(name, ())


@pytest.mark.parametrize(
    ("text", "types"),
    [
        (None, [orders.CancelOrder.TYPE, orders.PlaceOrder.TYPE]),
        ("place", [orders.PlaceOrder.TYPE]),
        ("order.place, cancel", [orders.CancelOrder.TYPE, orders.PlaceOrder.TYPE]),
        ("none", []),
    ],
)
def test_what_a_client_may_send_is_chosen_from_the_contracts(text: str | None, types: list[str]) -> None:
    client = ClientUser("shop", client_users.permitted(text))
    assert client.types == types
    known = [type_ for type_ in CATALOG if re.search(client.rights().topics[NAMES.commands], type_)]
    assert sorted(known) == types


@pytest.mark.parametrize(
    "text", ["dispatch", "order.dispatch", "", "place,", "deadline_passed", "*", "order.place.v1"]
)
def test_staff_commands_and_unknown_commands_cannot_be_permitted(text: str) -> None:
    with pytest.raises(NotAllowed, match=r"choose from order\.cancel, order\.place"):
        client_users.permitted(text)


@pytest.mark.real
async def test_a_client_reaches_its_own_queues_only(client_commands: ClientCommands) -> None:
    mine, other = await client_commands.added("mine"), await client_commands.added("mine-too")
    shops = client_commands.vhost.url(NAMES.client)
    for made in (mine, other):
        for work in WORK:
            assert not await refused(made["url"], work, f"{made['queue_prefix']}inbox"), work
        assert not await refused(made["url"], declare, f"{made['queue_prefix']}inbox")
    foreign = [
        f"{other['queue_prefix']}inbox",
        "order_svc.commands",
        "order_svc.dead",
        "journal",
        f"{NAMES.client}.x",
    ]
    foreign += [
        mine["user"],
        f"x.{mine['queue_prefix']}inbox",
        f"{mine['user']}x.inbox",
        f"{mine['user']}-x.inbox",
    ]
    assert await refused(mine["url"], declare, "")  # the broker would choose the name
    for work in WORK:
        for queue in foreign:
            assert await refused(mine["url"], work, queue), (work, queue)
        assert await refused(shops, work, f"{mine['queue_prefix']}inbox"), work


@pytest.mark.real
async def test_a_client_sends_what_it_may_and_nothing_else(client_commands: ClientCommands) -> None:
    placer, listener = (
        await client_commands.added("placer", "place"),
        await client_commands.added("listener", "none"),
    )
    assert placer["may_send"] == [orders.PlaceOrder.TYPE]
    assert listener["may_send"] == []
    for made, may in ((placer, {orders.PlaceOrder.TYPE}), (listener, set[str]())):
        for type_ in CATALOG:
            for exchange in (NAMES.commands, NAMES.events):

                async def send(channel: aio_pika.abc.AbstractChannel, key: str, to: str = exchange) -> None:
                    await (await channel.get_exchange(to, ensure=False)).publish(aio_pika.Message(b"{}"), key)

                permitted = exchange == NAMES.commands and type_ in may
                assert await refused(made["url"], send, type_) is not permitted, (
                    made["user"],
                    exchange,
                    type_,
                )


@pytest.mark.real
async def test_the_client_library_works_with_its_own_broker_user(client_commands: ClientCommands) -> None:
    made = await client_commands.added("library")
    command = a_command()
    rejected = orders.OrderRejected(
        order_id=command.order_id,
        customer_id=command.customer_id,
        reason=orders.RejectReason.UNKNOWN_SKU,
        detail="no such article",
    )
    envelope = wrap(rejected, id=str(new_id()), source="order_svc", now=datetime.now(UTC))
    async with Client(made["url"]) as client:
        await client.send(command)
        assert await publish_as_order_svc(client_commands.vhost, envelope.wire_message(CATALOG)) == [None]
        assert [type(event) async for event in client.follow(command.order_id)] == [orders.OrderRejected]


@pytest.mark.real
async def test_the_password_is_shown_once_and_kept_nowhere(
    client_commands: ClientCommands, api: httpx.AsyncClient
) -> None:
    ended = client_commands.type("add", client_commands.name("secret"), "--may", "place", "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    password = json.loads(ended.stdout)["password"]
    assert len(password) >= 24
    kept = [
        path
        for path in client_commands.home.rglob("*")
        if path.is_file() and password in path.read_text(errors="replace")
    ]
    assert not kept
    assert password not in client_commands.type("list").stdout + client_commands.type("list", "--json").stdout
    assert password not in (await api.get("definitions")).text
    again = client_commands.type("add", client_commands.name("secret"))
    assert again.returncode == MISUSED
    assert "--rotate" in again.stdout + again.stderr


@pytest.mark.real
async def test_rotating_a_password_closes_connections_of_the_old_password(
    client_commands: ClientCommands,
) -> None:
    before = await client_commands.added("turning", "place")
    connection = await aio_pika.connect(before["url"])
    after = await client_commands.added("turning", rotate=True)
    assert after["may_send"] == before["may_send"]
    await until(lambda: is_cut(connection))
    with pytest.raises(aiormq.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(before["url"])
    assert not await refused(after["url"], declare, f"{after['queue_prefix']}inbox")


@pytest.mark.real
async def test_a_client_that_is_removed_is_gone_with_its_queues(
    client_commands: ClientCommands, api: httpx.AsyncClient
) -> None:
    made, other = await client_commands.added("gone"), await client_commands.added("gone-not")
    connection = await aio_pika.connect(made["url"])
    channel = await connection.channel()
    await channel.declare_queue(f"{made['queue_prefix']}mine", exclusive=True)
    await channel.declare_exchange(f"{made['queue_prefix']}exchange", durable=True)
    for each in (made, other):
        assert not await refused(each["url"], declare, f"{each['queue_prefix']}inbox")
    assert {client_commands.name("gone"), client_commands.name("gone-not")} <= {
        each["name"] for each in json.loads(client_commands.type("list", "--json").stdout)
    }
    first, second = (
        json.loads(client_commands.type("remove", client_commands.name("gone"), "--json").stdout)
        for _ in range(2)
    )
    assert (first["removed"], second["removed"]) == (True, False)
    await until(lambda: is_cut(connection))
    with pytest.raises(aiormq.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(made["url"])
    names = {
        each["name"]
        for kind in ("queues", "exchanges")
        for each in (await api.get(f"{kind}/{path_of(client_commands)}")).json()
    }
    assert not [name for name in names if name.startswith(made["queue_prefix"])]
    assert f"{other['queue_prefix']}inbox" in names


@pytest.mark.real
async def test_clients_are_no_drift_and_their_rights_follow_the_topology(
    client_commands: ClientCommands, api: httpx.AsyncClient
) -> None:
    made = await client_commands.added("steady", "cancel")
    assert not await refused(made["url"], declare, f"{made['queue_prefix']}inbox")
    assert not await refused(made["url"], bind, f"{made['queue_prefix']}inbox")
    async with client_commands.vhost.admin as admin:
        assert await admin.plan(client_commands.vhost.topology, client_commands.vhost.name) == []
        wide = {"configure": ".*", "write": ".*", "read": ".*"}
        (
            await api.put(f"permissions/{path_of(client_commands)}/{made['user']}", json=wide)
        ).raise_for_status()
        topic = {"exchange": NAMES.commands, "write": ".*", "read": ".*"}
        (
            await api.put(f"topic-permissions/{path_of(client_commands)}/{made['user']}", json=topic)
        ).raise_for_status()
        (await api.delete(f"user-limits/{made['user']}/max-connections")).raise_for_status()
        (await api.delete(f"vhost-limits/{path_of(client_commands)}/max-queues")).raise_for_status()
        drift = await admin.plan(client_commands.vhost.topology, client_commands.vhost.name)
        assert [sentence.partition(" is ")[0] for sentence in drift] == [
            f"permission of {made['user']}",
            f"permission of {made['user']} on commands",
            "limit max-queues",
            f"limit max-connections of {made['user']}",
        ]
        await client_commands.vhost.apply()
        assert await admin.plan(client_commands.vhost.topology, client_commands.vhost.name) == []
    assert not await refused(made["url"], declare, f"{made['queue_prefix']}inbox")
    assert await refused(made["url"], declare, "order_svc.events")

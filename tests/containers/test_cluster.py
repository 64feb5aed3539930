"""The compose profile `cluster`, three nodes of RabbitMQ and of MongoDB: leaders die under load."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from journey.admin.endpoints import record
from journey.devenv.compose_shop import ComposeShop
from journey.devenv.process_shop import VHOST
from journey.devenv.shop import register, seed
from tests.chaos.load import Shoppers
from tests.containers.engine import compose, compose_project, containers, docker, inspected
from tests.support.balancer import Balancer
from tests.support.eventually import until

pytestmark = [pytest.mark.timeout(1800), pytest.mark.asyncio(loop_scope="package")]

NODES = ("rabbitmq", "rabbitmq2", "rabbitmq3")
MEMBERS = ("mongo", "mongo2", "mongo3")
QUEUE = "order_svc.commands"
PER_SECOND = 4.0
LOAD_S = 20.0
WAIT_S = 300.0


@pytest_asyncio.fixture(loop_scope="package")
async def cluster(tmp_path: Path) -> AsyncIterator[ComposeShop]:
    """A shop whose clients reach any node that runs."""
    async with compose_project(tmp_path, "cluster", COMPOSE_PROFILES="cluster") as shop:
        await shop.up(print)
        await seed(shop)
        async with balancer_of_nodes() as balancer:
            any_node = replace(shop.endpoints, amqp_base=f"amqp://127.0.0.1:{balancer.port}")
            record(tmp_path, any_node)
            yield ComposeShop(tmp_path)


@asynccontextmanager
async def balancer_of_nodes() -> AsyncIterator[Balancer]:
    addresses = [await compose("port", node, "5672") for node in NODES]
    balancer = Balancer(*(int(address.rpartition(":")[2]) for address in addresses))
    await balancer.open()
    try:
        yield balancer
    finally:
        await balancer.close()


async def test_orders_survive_the_death_of_both_leaders(cluster: ComposeShop) -> None:
    assert sorted((await queue(NODES[0]))["members"]) == [f"rabbit@{node}" for node in NODES]
    assert len((await hello(MEMBERS[0]))["hosts"]) == 3
    customers = await register(cluster, ["Ada", "Grace"])
    shoppers = Shoppers(cast(Any, cluster), customers, random.randrange(10**6))
    enough = asyncio.Event()
    async with shoppers.client() as client:
        load = asyncio.create_task(shoppers.keep_ordering(client, PER_SECOND, enough.is_set))
        await asyncio.sleep(LOAD_S)
        primary = str((await hello(MEMBERS[0]))["primary"]).partition(":")[0]
        leader = str((await queue(NODES[0]))["leader"]).partition("@")[2]
        [dead_primary] = await containers(primary)
        [dead_leader] = await containers(leader)
        print(f"killing {primary}, then {leader}")
        await docker("kill", dead_primary)
        await asyncio.sleep(LOAD_S)
        await docker("kill", dead_leader)
        await asyncio.sleep(LOAD_S)
        others = [name for name in MEMBERS if name != primary]
        assert str((await hello(others[0]))["primary"]).partition(":")[0] in others
        assert (await queue(next(name for name in NODES if name != leader)))["leader"] != f"rabbit@{leader}"
        await docker("start", dead_primary, dead_leader)
        for container in (dead_primary, dead_leader):
            await until(partial(is_healthy, container), within_s=WAIT_S)
        enough.set()
        await load
    await shoppers.all_end_as_expected(wait_s=WAIT_S)
    copies = await shoppers.one_mail_each(wait_s=WAIT_S, copies_max=2)
    await shoppers.doctor_agrees()
    print(f"{len(shoppers.expected)} orders ended as they should; {copies} second copies of a mail")


async def queue(node: str) -> dict[str, Any]:
    """The leader and the members of a quorum queue, as this node knows them."""
    [container] = await containers(node)
    columns = ("name", "leader", "members", "--formatter", "json")
    listed = await docker("exec", container, "rabbitmqctl", "-q", "list_queues", "-p", VHOST, *columns)
    [found] = [each for each in json.loads(listed) if each["name"] == QUEUE]
    assert isinstance(found, dict)
    return found


async def hello(member: str) -> dict[str, Any]:
    """The replica set as this member sees it."""
    [container] = await containers(member)
    command = ("mongosh", "--quiet", "--eval", "EJSON.stringify(db.hello())")
    found = json.loads(await docker("exec", container, *command))
    assert isinstance(found, dict)
    return found


async def is_healthy(container: str) -> bool:
    return bool((await inspected(container))["State"]["Health"]["Status"] == "healthy")

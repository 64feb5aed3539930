"""RabbitMQ nodes, alone or as a cluster, that can be stopped, killed and frozen one by one."""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from journey.admin.private_files import write_private
from journey.admin.progress_log import Log
from journey.devenv.infra import ready
from journey.devenv.infra.local_rabbit import BROKER, PORT_MAPPER, STOP_GRACE_S, LocalRabbit, RabbitSettings
from journey.devenv.infra.ports import free_ports
from tests.chaos.network import Balancer, Network
from tests.chaos.process_faults import frozen
from tests.support.eventually import until

WELL_S_MAX = 120.0
ASKING_S_MAX = 20.0
OWN_PORTS = ("amqp_port", "management_port", "metrics_port", "distribution_port")
MEMORY = "1GB"  # the initial value of a node

# With the default of 512 MiB, every node would also keep that much of its write-ahead log in memory.
CONFIG = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_partition_handling = pause_minority
queue_leader_locator = balanced
raft.wal_max_size_bytes = 67108864
"""


class Node(LocalRabbit):
    """One broker; it joins the first of `names` in the cluster."""

    def __init__(
        self, state_dir: Path, number: int, settings: RabbitSettings, cluster: Sequence[str]
    ) -> None:
        super().__init__(state_dir / f"broker{number}")
        self.name = cluster[number - 1]
        self._cluster = cluster
        write_private(self.dir / "settings.json", json.dumps(asdict(settings)) + "\n")

    async def restart(self) -> None:
        await self.processes.stop(BROKER, grace_s=STOP_GRACE_S)
        await self.back()

    async def back(self) -> None:
        await self.start(log=lambda text: None)

    async def responds(self) -> bool:
        return await self._ready()

    async def healthy(self, check: str) -> bool:
        response = await ready.http_get(self.management_url, f"/api/health/checks/{check}")
        return response is not None and response.is_success

    def _settle_ports(self) -> None:
        """The node keeps its ports."""

    def _write_files(self) -> None:
        super()._write_files()
        peers = [
            f"cluster_formation.classic_config.nodes.{n} = {name}\n"
            for n, name in enumerate(self._cluster, 1)
        ]
        write_private(self.dir / "conf.d" / "cluster.conf", CONFIG + "".join(peers))

    def _start_port_mapper(self) -> None:
        """All nodes share one; the first node starts it."""
        if self.name == self._cluster[0]:
            super()._start_port_mapper()

    def _environment(self) -> dict[str, str]:
        usual = super()._environment()
        arguments = usual["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
        return usual | {
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{arguments} +S 1:1",
        }


class Cluster:
    """One node, or three. Clients use one balancer; the management API is behind another, without faults."""

    def __init__(self, nodes: Sequence[Node], clients: Balancer, management: Balancer) -> None:
        self.nodes = nodes
        self.network = Network([clients], self.well)
        self._clients = clients
        self._management = management

    @property
    def amqp_url(self) -> str:
        return _through(self._clients, self.nodes[0].amqp_url)

    @property
    def management_url(self) -> str:
        return _through(self._management, self.nodes[0].management_url)

    async def restart(self, moments: random.Random) -> None:
        """Restart one node after the other, each when the previous one is healthy again."""
        for node in self.nodes:
            with self._away(node):
                await node.restart()
            await self.well()

    async def kill_leader(self, moments: random.Random) -> None:
        """Kill a node that leads a quorum queue; at least one does if there are quorum queues."""
        node = await self._leader(moments)
        with self._away(node):
            await node.kill()
            await asyncio.sleep(moments.uniform(0, 5))
            await node.back()
        await self.well()

    async def freeze(self, moments: random.Random) -> None:
        node = moments.choice(self.nodes)
        with self._away(node), frozen(node.processes, BROKER):
            await asyncio.sleep(moments.uniform(5, 20))
        await self.well()

    async def memory_alarm(self, moments: random.Random) -> None:
        """On one node, which is enough to block all publishers of the cluster."""
        node = moments.choice(self.nodes)

        async def raised() -> bool:
            return not await node.healthy("alarms")

        try:
            await node.ctl("set_vm_memory_high_watermark", "0.0001")
            await until(raised, within_s=WELL_S_MAX, otherwise=f"{node.name} has raised no memory alarm")
            await asyncio.sleep(moments.uniform(3, 10))
        finally:
            await node.ctl("set_vm_memory_high_watermark", "absolute", MEMORY)
        await self.well()

    async def close_connections(self, moments: random.Random) -> None:
        for node in self.nodes:
            await node.ctl("close_all_connections", "chaos")
        await self.well()

    async def well(self) -> None:
        """Wait until every node accepts logins and publishes,
        and every quorum queue has its leader and all members.
        """
        await until(self._is_well, within_s=WELL_S_MAX, otherwise="the broker is not well")

    async def end(self) -> None:
        """SIGKILL: the data is not needed any more."""
        for node in self.nodes:
            await node.kill()
        await self.nodes[0].processes.kill(PORT_MAPPER)

    async def _is_well(self) -> bool:
        for node in self.nodes:
            if not (await node.responds() and await node.healthy("alarms")):
                return False
            if len(self.nodes) > 1 and not await node.healthy("node-is-quorum-critical"):
                return False
        leaders = await self._leaders()
        return leaders is not None and None not in leaders

    async def _leader(self, moments: random.Random) -> Node:
        await self.well()
        found = [node for node in await self._leaders() or [] if node is not None]
        return moments.choice(found or list(self.nodes))

    async def _leaders(self) -> list[Node | None] | None:
        """The leader of each quorum queue; None for a queue without a leader,
        None in place of the list if unknown.
        """
        path = "/api/queues?columns=type,leader"
        response = await ready.http_get(self.management_url, path, limit_s=ASKING_S_MAX)
        if response is None or not response.is_success:
            return None
        by_name = {node.name: node for node in self.nodes}
        replicated = [queue for queue in response.json() if queue.get("type") == "quorum"]
        return [by_name.get(queue.get("leader", "")) for queue in replicated]

    @contextmanager
    def _away(self, node: Node) -> Iterator[None]:
        """The management API is read from the other nodes, unless there are none."""
        if len(self.nodes) > 1:
            self._management.away.add(self.nodes.index(node))
            self._management.cut()
        try:
            yield
        finally:
            self._management.away.clear()


@asynccontextmanager
async def cluster(state_dir: Path, count: int, log: Log) -> AsyncIterator[Cluster]:
    names = [f"chaos{number}@localhost" for number in range(1, count + 1)]
    password, cookie = secrets.token_hex(16), secrets.token_hex(16)
    port_mapper, *ports = free_ports(1 + 4 * count)
    nodes = []
    for number in range(1, count + 1):
        own = dict(zip(OWN_PORTS, ports[4 * number - 4 : 4 * number], strict=True))
        settings = RabbitSettings(password, cookie, port_mapper_port=port_mapper, **own)
        nodes.append(Node(state_dir, number, settings, names))
    clients = Balancer([node.amqp_url for node in nodes])
    management = Balancer([node.management_url for node in nodes])
    async with clients, management, AsyncExitStack() as stack:
        made = Cluster(nodes, clients, management)
        stack.push_async_callback(made.end)
        for node in nodes:
            await node.start(log)
        await made.well()
        yield made


def _through(proxy: Balancer, url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{proxy.port}").geturl()

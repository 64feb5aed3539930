"""What one test has on the real broker and database: created fresh, and deleted afterwards."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

from chassis.bus.topology_model import Topology
from journey.admin.broker.management import BrokerAdmin, derived_passwords
from journey.admin.database.admin import DatabaseAdmin
from journey.devenv.infra.model import Infrastructure
from journey.devenv.process_shop import ProcessShop
from tests.support.fork_server import ForkServerProcesses

DELAY_SCALE = 0.01  # the retry ladder's 5 s, 1 min and 10 min become 50 ms, 0.6 s and 6 s


@dataclass(frozen=True)
class VirtualHost:
    """A virtual host with its topology applied; `url(user)` contains that user's credentials."""

    name: str
    amqp_url: str = field(repr=False)
    management_url: str = field(repr=False)
    topology: Topology = field(repr=False)
    passwords: dict[str, str] = field(repr=False)

    def url(self, user: str, port: int | None = None) -> str:
        """`port`: of a proxy on this machine, instead of the broker's."""
        endpoints = urlsplit(self.amqp_url)
        address = f"{endpoints.hostname}:{endpoints.port or 5672}" if port is None else f"127.0.0.1:{port}"
        return f"{endpoints.scheme}://{user}:{self.passwords[user]}@{address}/{quote(self.name, safe='')}"

    @property
    def admin(self) -> BrokerAdmin:
        return BrokerAdmin(self.management_url)

    async def apply(self) -> None:
        async with self.admin as admin:
            await admin.apply(self.topology, self.name, self.passwords)


@asynccontextmanager
async def fresh_vhost(infrastructure: Infrastructure, topology: Topology) -> AsyncIterator[VirtualHost]:
    vhost = VirtualHost(
        name=f"test-{uuid4().hex[:12]}",
        amqp_url=infrastructure.amqp_url,
        management_url=infrastructure.management_url,
        topology=topology,
        passwords=derived_passwords(topology, infrastructure.management_url),
    )
    await vhost.apply()
    try:
        yield vhost
    finally:
        async with vhost.admin as admin:
            await admin.delete_vhost(vhost.name)


@asynccontextmanager
async def fresh_database_prefix(infrastructure: Infrastructure) -> AsyncIterator[str]:
    prefix = f"test_{uuid4().hex[:12]}_"
    try:
        yield prefix
    finally:
        async with DatabaseAdmin(infrastructure.mongo_url) as database:
            await database.drop(prefix)


@asynccontextmanager
async def fresh_system(
    infrastructure: Infrastructure,
    state_dir: Path,
    delay_scale: float,
    settings: Mapping[str, str],
    *,
    cold: bool = False,
) -> AsyncIterator[ProcessShop]:
    """A shop that is not started yet, with its own databases and virtual host; removed at the end.

    `cold`: start each service with `python -m`, as `journey up` does.
    """
    async with fresh_database_prefix(infrastructure) as name:
        system = ProcessShop(
            state_dir,
            infrastructure,
            vhost=name,
            database_prefix=name,
            settings=settings,
            delay_scale=delay_scale,
            own_ports=True,
        )
        if not cold:
            system.processes = ForkServerProcesses(state_dir)
        try:
            yield system
        finally:
            await system.down(lambda text: None)
            async with system.admin as admin:
                await admin.delete_vhost(name)

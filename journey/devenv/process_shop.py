"""The whole shop as processes on this machine: infrastructure, topology, one process per service instance."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from chassis.bus.topology_model import Topology
from chassis.connection_urls import password_of
from chassis.messaging.message import Command
from contracts.catalog import NAMES
from journey.admin import instances
from journey.admin.broker import management
from journey.admin.broker.management_login import credentials_of
from journey.admin.database.target import FILE, DatabaseTarget, derived_target
from journey.admin.endpoints import GATEWAY, ShopEndpoints, forget, record, recorded
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import MOST, process_of
from journey.admin.progress_log import Log
from journey.admin.registry import (
    CONSUMING_SERVICES,
    SERVICES,
    WEB_PROGRAMS,
    shop_database_users,
    shop_topology,
)
from journey.admin.ssl_context import tls
from journey.client import Client
from journey.devenv import addresses
from journey.devenv.infra import causes
from journey.devenv.infra import resolve as find
from journey.devenv.infra.model import Infrastructure
from journey.devenv.infra.processes import Processes
from journey.devenv.process_environment import ROOT as ROOT
from journey.devenv.process_environment import ProcessEnvironment, replaced_passwords, service_token

VHOST = "journey"
READY_S_MAX = 120.0


class ProcessShop:
    """Starts and stops services; for `journey up`, the demo, and the tests that kill services."""

    def __init__(
        self,
        state_dir: Path,
        infrastructure: Infrastructure,
        *,
        vhost: str = VHOST,
        database_prefix: str = "",
        settings: Mapping[str, str] | None = None,
        delay_scale: float = 1.0,
        own_ports: bool = False,
        allow_faults: bool = False,
    ) -> None:
        """`allow_faults`: staff can cause faults for demonstrations, see chassis/fault_switches.py."""
        self.state_dir = state_dir
        self.infrastructure = infrastructure
        self.processes = Processes(state_dir)
        self._settings = dict(settings or {})
        self._allow_faults = allow_faults
        self._topology: Topology = shop_topology(delay_scale, self._settings.get("PARTITIONS"))
        url = infrastructure.mongo_url
        secret = password_of(url) or password_of(infrastructure.management_url)
        users = shop_database_users(database_prefix)
        self.database: DatabaseTarget = derived_target(url, database_prefix, users, secret=secret)
        passwords = management.derived_passwords(self._topology, infrastructure.management_url)
        if infrastructure.kind == "local":  # no other checkout uses these servers
            administrator = credentials_of(infrastructure.management_url)[0]
            passwords |= replaced_passwords(state_dir, passwords.keys() - {administrator})
            self.database.passwords.update(replaced_passwords(state_dir, self.database.passwords, FILE))
        before = None if own_ports else recorded(state_dir)
        http, public = addresses.of_all(usual=not own_ports)
        self.endpoints = ShopEndpoints(
            kind=infrastructure.kind,
            vhost=vhost,
            amqp_base=infrastructure.amqp_url,
            passwords=passwords,
            http=http | (before.http if before else {}),
            rabbitmq_ui=_without_password(infrastructure.management_url),
            mailbox_url=infrastructure.mailbox_url,
            database_prefix=database_prefix,
            public=public | (before.public if before else {}),
            service_token=service_token(state_dir),
            mongo_url=url,
        )
        self.processes_environment = ProcessEnvironment(
            state_dir, self.endpoints, self.database, infrastructure.smtp_url
        )

    @property
    def admin(self) -> management.BrokerAdmin:
        return management.BrokerAdmin(self.infrastructure.management_url)

    async def apply_topology(self) -> None:
        async with self.admin as admin:
            await admin.apply(self._topology, self.endpoints.vhost, self.endpoints.passwords)

    async def apply_database(self) -> None:
        await self.database.apply()

    async def database_plan(self) -> list[str]:
        return await self.database.plan()

    async def up(self, log: Log, *, web: bool = False) -> None:
        """Start what is not running, with every instance that `scale` has set.

        `web`: also gateway and operations.
        """
        log("applying the topology, and one user per service on the broker and on the database")
        await asyncio.gather(self.apply_topology(), self.database.apply())
        record(self.state_dir, self.endpoints)
        programs = (*SERVICES, *(WEB_PROGRAMS if web else ()))
        names = [name for name in self.endpoints.http if instances.service_of(name) in programs]
        for name in names:
            self.start(instances.service_of(name), instances.number_of(name))
        await self.ready(names, log)

    def start(self, name: str, instance: int = 1, **settings: str) -> None:
        """Start one instance of a service; `ready` waits for it. Instances after the first get free ports."""
        process = process_of(name, instance)
        for known in (
            (self.endpoints.http, self.endpoints.public) if name == GATEWAY else (self.endpoints.http,)
        ):
            if process not in known:
                known[process] = addresses.another(
                    {*self.endpoints.http.values(), *self.endpoints.public.values()}
                )
        environment = self.environment(name, instance) | settings
        log = self.log_of(process)
        self.processes.start(process, [sys.executable, "-m", name], log=log, env=environment, cwd=ROOT)

    async def scale(self, wanted: Mapping[str, int], log: Log = lambda text: None) -> None:
        """Set the number of instances of these services.

        The first ones stay; surplus instances drain and stop.
        """
        await find.require(self.infrastructure)
        started = [
            (service, instance) for service, count in wanted.items() for instance in range(1, count + 1)
        ]
        for service, instance in started:
            self.start(service, instance)
        # first, so that `journey down` finds all of them after an interruption
        record(self.state_dir, self.endpoints)
        await self.ready([process_of(*each) for each in started], log)
        surplus = [
            process
            for process in {*self.endpoints.http, *self.processes.recorded()}
            if instances.number_of(process) > wanted.get(instances.service_of(process), MOST)
        ]
        await asyncio.gather(*(self.processes.stop(process, grace_s=28) for process in surplus))
        for process in surplus:
            self.endpoints.http.pop(process, None)
            self.endpoints.public.pop(process, None)
            log(f"stopped {process}")
        record(self.state_dir, self.endpoints)

    async def set(self, name: str, **settings: str) -> None:
        """Restart a service with other settings; without any, with its default ones."""
        await self.stop(name)
        self._settings = settings
        self.start(name)
        await self.ready([name])

    async def stop(self, name: str, instance: int = 1) -> None:
        await self.processes.stop(process_of(name, instance), grace_s=28)

    async def kill(self, name: str, instance: int = 1) -> None:
        await self.processes.kill(process_of(name, instance))

    async def ready(self, names: list[str], log: Log = lambda text: None) -> None:
        """Wait until all consume.

        Raises InfrastructureUnavailable with the cause if one dies or takes too long.
        """
        async with httpx.AsyncClient(timeout=2, verify=tls()) as http:
            await asyncio.gather(*(self._ready(http, name, log) for name in names))

    async def _ready(self, http: httpx.AsyncClient, name: str, log: Log) -> None:
        deadline = asyncio.get_running_loop().time() + READY_S_MAX
        why = "no response"
        while asyncio.get_running_loop().time() < deadline:
            if self.processes.running(name) is None:
                cause, helps = causes.why(self.log_of(name))
                raise InfrastructureUnavailable(f"{name} ended during its start: {cause}", helps)
            try:
                response = await http.get(f"{self.endpoints.http[name]}/readyz")
                if response.status_code == 200:
                    log(f"{name} is consuming")
                    return
                why = _detail(response)
            except httpx.HTTPError:
                why = "no response"
            await asyncio.sleep(0.1)
        cause, helps = causes.why(self.log_of(name))
        raise InfrastructureUnavailable(f"{name} is not ready: {why}; {cause}", helps)

    async def down(self, log: Log) -> None:
        """Stop all service instances recorded in the state directory."""
        names = [
            name for name in self.processes.recorded() if name.partition(".")[0] in (*SERVICES, *WEB_PROGRAMS)
        ]
        await asyncio.gather(*(self.processes.stop(name, grace_s=28) for name in names))
        forget(self.state_dir)
        log(f"stopped {', '.join(names)}" if names else "no service was running")

    def client(self, user: str = NAMES.client) -> Client:
        return self.client_at(self.endpoints, user)

    @staticmethod
    def client_at(endpoints: ShopEndpoints, user: str) -> Client:
        return Client(endpoints.amqp_url(user), name=user)

    async def send(self, user: str, *commands: Command) -> None:
        async with Client(self.endpoints.amqp_url(user), name=user, listen=False) as client:
            await client.send(*commands)

    async def dead(self) -> dict[str, int]:
        async with self.admin as admin:
            return dead_letters(await admin.depths(self.endpoints.vhost))

    async def topology_plan(self) -> list[str]:
        async with self.admin as admin:
            return await admin.plan(self._topology, self.endpoints.vhost)

    def log_of(self, process: str) -> Path:
        return self.state_dir / "log" / f"{process}.log"

    def environment(self, name: str, instance: int = 1) -> dict[str, str]:
        """The environment of one process; see journey/devenv/process_environment.py."""
        faults = {"JOURNEY_ALLOW_FAULTS": "1"} if self._allow_faults else {}
        return {**self.processes_environment.of(name, instance), **faults, **self._settings}


def _detail(response: httpx.Response) -> str:
    """The reason that the service gives for not being ready."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"it responds with {response.status_code}"


def dead_letters(depths: Mapping[str, management.Depth]) -> dict[str, int]:
    """Service -> number of dead letters; services without a count are missing."""
    return {
        name: depths[f"{name}.dead"].ready or 0 for name in CONSUMING_SERVICES if f"{name}.dead" in depths
    }


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"

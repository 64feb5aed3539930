"""The whole shop as processes on this machine: infrastructure, topology, one process per service instance."""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from chassis.bus.topology import CLIENT
from chassis.bus.topology_model import Topology
from chassis.messaging.envelope import OPERATOR
from chassis.messaging.message import Command
from journey.admin import instances
from journey.admin.broker import management
from journey.admin.endpoints import GATEWAY, ShopEndpoints, forget, instances_file, record, recorded
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import MOST, process_of
from journey.admin.private_files import write_private
from journey.admin.progress_log import Log
from journey.admin.registry import CONSUMING_SERVICES, SERVICES, WEB_PROGRAMS, shop_topology
from journey.admin.ssl_context import tls
from journey.client import Client
from journey.devenv import addresses
from journey.devenv.infra import causes
from journey.devenv.infra import resolve as find
from journey.devenv.infra.model import Infrastructure
from journey.devenv.infra.processes import Processes

ROOT = Path(__file__).resolve().parents[2]
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
    ) -> None:
        self.state_dir = state_dir
        self.infrastructure = infrastructure
        self.processes = Processes(state_dir)
        self._settings = dict(settings or {})
        self._topology: Topology = shop_topology(delay_scale)
        before = None if own_ports else recorded(state_dir)
        http, public = addresses.of_all(usual=not own_ports)
        self.endpoints = ShopEndpoints(
            kind=infrastructure.kind,
            vhost=vhost,
            amqp_base=infrastructure.amqp_url,
            passwords=management.derived_passwords(self._topology, infrastructure.management_url),
            http=http | (before.http if before else {}),
            rabbitmq_ui=_without_password(infrastructure.management_url),
            mailbox_url=infrastructure.mailbox_url,
            database_prefix=database_prefix,
            public=public | (before.public if before else {}),
            service_token=_service_token(state_dir),
        )

    @property
    def admin(self) -> management.BrokerAdmin:
        return management.BrokerAdmin(self.infrastructure.management_url)

    async def apply_topology(self) -> None:
        async with self.admin as admin:
            await admin.apply(self._topology, self.endpoints.vhost, self.endpoints.passwords)

    async def up(self, log: Log, *, web: bool = False) -> None:
        """Start what is not running, with every instance that `scale` has set.

        `doors`: also gateway and operations.
        """
        log("applying the topology: exchanges, queues, policies, one broker user per service")
        await self.apply_topology()
        record(self.state_dir, self.endpoints)
        names = [*instances.of_services(self.endpoints.http), *(WEB_PROGRAMS if web else ())]
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
        log = self.state_dir / "log" / f"{process}.log"
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
                cause, helps = causes.why(self._log(name))
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
        cause, helps = causes.why(self._log(name))
        raise InfrastructureUnavailable(f"{name} is not ready: {why}; {cause}", helps)

    async def down(self, log: Log) -> None:
        """Stop all service instances recorded in the state directory."""
        names = [
            name for name in self.processes.recorded() if name.partition(".")[0] in (*SERVICES, *WEB_PROGRAMS)
        ]
        await asyncio.gather(*(self.processes.stop(name, grace_s=28) for name in names))
        forget(self.state_dir)
        log(f"stopped {', '.join(names)}" if names else "no service was running")

    def client(self, user: str = CLIENT) -> Client:
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

    def _log(self, name: str) -> Path:
        return self.state_dir / "log" / f"{name}.log"

    def environment(self, name: str, instance: int = 1) -> dict[str, str]:
        """The environment of one process: the settings of all services, of which each reads its own."""
        endpoints = self.endpoints
        found = self.infrastructure
        process = process_of(name, instance)
        return {
            **_inherited(),
            "PYTHONPATH": str(ROOT),
            "MONGO_URL": found.mongo_url,
            "MONGO_DATABASE": f"{endpoints.database_prefix}{name}",
            "PROVIDER_DATABASE": f"{endpoints.database_prefix}card_provider",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": addresses.port_of(endpoints.http[process]),
            "SMTP_URL": found.smtp_url,
            "SHOP_URL": endpoints.shop_url,
            "SERVICE_TOKEN": endpoints.service_token,
            "INSTANCES_FILE": str(instances_file(self.state_dir)),
            **{f"{each.upper()}_URL": endpoints.http[each] for each in (*SERVICES, *WEB_PROGRAMS)},
            **(self._of_the_operator() if name == "operations" else {"AMQP_URL": endpoints.amqp_url(name)}),
            **(_of_the_gateway(endpoints.public[process]) if name == GATEWAY else {}),
            **self._settings,
        }

    def _of_the_operator(self) -> dict[str, str]:
        return {
            "AMQP_URL": self.endpoints.amqp_url(OPERATOR),
            "RABBITMQ_MANAGEMENT_URL": self.endpoints.management_url,
            "RABBITMQ_UI_URL": self.endpoints.rabbitmq_ui,
        }


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


def _of_the_gateway(public: str) -> dict[str, str]:
    return {"PUBLIC_HOST": "127.0.0.1", "PUBLIC_PORT": addresses.port_of(public), "PUBLIC_URL": public}


def _service_token(state_dir: Path) -> str:
    """The token with which services authenticate to each other; created once,
    then kept in the state directory.
    """
    path = state_dir / "service_token"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


def _inherited() -> dict[str, str]:
    """The variables that a child process needs; everything else could be taken for a setting."""
    return {
        key: value
        for key, value in os.environ.items()
        if key in ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "TZ")
    }


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"

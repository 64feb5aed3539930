"""The whole shop as processes on this machine: infrastructure, topology, one process per service instance."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from chassis.topology import CLIENT, Topology
from contracts.message import Command
from journey import broker_admin
from journey.client import Client
from journey.infra import find, ports
from journey.infra.model import Infrastructure, InfrastructureUnavailable, write_private
from journey.infra.processes import Processes
from journey.services import PORTS, SERVICES, whole_topology

Say = Callable[[str], None]
ROOT = Path(__file__).resolve().parent.parent
VHOST = "journey"
READY_S_MAX = 60.0


@dataclass(frozen=True)
class Place:
    """Where everything is; written to the state directory, so that other commands find it. Holds passwords."""

    kind: str
    vhost: str
    amqp_base: str = field(repr=False)
    passwords: dict[str, str] = field(repr=False)
    http: dict[str, str]
    rabbitmq_ui: str
    mailbox_url: str
    database_prefix: str = ""

    def amqp_url(self, user: str) -> str:
        host = self.amqp_base.rpartition("@")[2].removeprefix("amqp://").partition("/")[0]
        return f"amqp://{user}:{self.passwords[user]}@{host}/{quote(self.vhost, safe='')}"


class System:
    """Starts and stops services; the same for `journey up`, the demo, and the tests that kill."""

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
        self._topology: Topology = whole_topology(delay_scale)
        before = None if own_ports else recorded(state_dir)
        self._service_token = secrets.token_urlsafe(24)
        self.place = Place(
            kind=infrastructure.kind,
            vhost=vhost,
            amqp_base=infrastructure.amqp_url,
            passwords=broker_admin.derived_passwords(self._topology, infrastructure.management_url),
            http=before.http if before else _free_addresses(own_ports),
            rabbitmq_ui=_without_password(infrastructure.management_url),
            mailbox_url=infrastructure.mailbox_url,
            database_prefix=database_prefix,
        )

    @property
    def admin(self) -> broker_admin.BrokerAdmin:
        return broker_admin.BrokerAdmin(self.infrastructure.management_url)

    async def apply_topology(self) -> None:
        async with self.admin as admin:
            await admin.apply(self._topology, self.place.vhost, self.place.passwords)

    async def up(self, say: Say) -> None:
        """Idempotent: what runs is left alone."""
        say("applying the topology: exchanges, queues, policies, one broker user per service")
        await self.apply_topology()
        write_private(_place_file(self.state_dir), json.dumps(asdict(self.place), indent=2))
        for name in SERVICES:
            self.start(name)
        await self.ready(list(SERVICES), say)

    def start(self, name: str, instance: int = 1, **settings: str) -> None:
        """Start one instance of a service; `ready` waits for it. Further instances listen on free ports."""
        environment = self.environment(name) | settings
        if instance > 1:
            address = self.place.http.setdefault(_process(name, instance), _local(ports.free_ports(1)[0]))
            environment["HTTP_PORT"] = address.rpartition(":")[2]
        log = self.state_dir / "log" / f"{_process(name, instance)}.log"
        command = [sys.executable, "-m", name]
        self.processes.start(_process(name, instance), command, log=log, env=environment, cwd=ROOT)

    async def set(self, name: str, **settings: str) -> None:
        """Start a service anew with other settings; without any, with its usual ones."""
        await self.stop(name)
        self._settings = settings
        self.start(name)
        await self.ready([name])

    async def stop(self, name: str, instance: int = 1) -> None:
        await self.processes.stop(_process(name, instance), grace_s=28)

    async def kill(self, name: str, instance: int = 1) -> None:
        await self.processes.kill(_process(name, instance))

    async def ready(self, names: list[str], say: Say = lambda text: None) -> None:
        """Until each really consumes; raises with the tail of the log of the first that died or took too long."""
        async with httpx.AsyncClient(timeout=2) as http:
            await asyncio.gather(*(self._ready(http, name, say) for name in names))

    async def _ready(self, http: httpx.AsyncClient, name: str, say: Say) -> None:
        deadline = asyncio.get_running_loop().time() + READY_S_MAX
        why = "no answer"
        while asyncio.get_running_loop().time() < deadline:
            if self.processes.running(name) is None:
                raise InfrastructureUnavailable(f"{name} died at its start: {self._log_tail(name)}", "see its log")
            try:
                answer = await http.get(f"{self.place.http[name]}/readyz")
                if answer.status_code == 200:
                    say(f"{name} is consuming")
                    return
                why = answer.text
            except httpx.HTTPError as error:
                why = type(error).__name__
            await asyncio.sleep(0.1)
        raise InfrastructureUnavailable(f"{name} is not ready: {why}; {self._log_tail(name)}", "see its log")

    async def down(self, say: Say) -> None:
        """Stop every instance of every service that was started here."""
        names = [name for name in self.processes.recorded() if name.partition(".")[0] in SERVICES]
        await asyncio.gather(*(self.processes.stop(name, grace_s=28) for name in names))
        _place_file(self.state_dir).unlink(missing_ok=True)
        say(f"stopped {', '.join(names)}" if names else "no service was running")

    def client(self, user: str = CLIENT) -> Client:
        return self.client_at(self.place, user)

    @staticmethod
    def client_at(place: Place, user: str) -> Client:
        return Client(place.amqp_url(user), name=user)

    async def send(self, user: str, *commands: Command) -> None:
        async with Client(self.place.amqp_url(user), name=user, listen=False) as client:
            await client.send(*commands)

    async def dead(self) -> dict[str, int]:
        async with self.admin as admin:
            return dead_letters(await admin.depths(self.place.vhost))

    async def topology_plan(self) -> list[str]:
        async with self.admin as admin:
            return await admin.plan(self._topology, self.place.vhost)

    def _log_tail(self, name: str) -> str:
        log = self.state_dir / "log" / f"{name}.log"
        return " | ".join(log.read_text().splitlines()[-3:]) if log.exists() else "it wrote no log"

    def environment(self, name: str) -> dict[str, str]:
        address = urlsplit(self.place.http[name])
        found = self.infrastructure
        return {
            **_inherited(),
            "PYTHONPATH": str(ROOT),
            "AMQP_URL": self.place.amqp_url(name),
            "MONGO_URL": found.mongo_url,
            "MONGO_DATABASE": f"{self.place.database_prefix}{name}",
            "PROVIDER_DATABASE": f"{self.place.database_prefix}card_provider",
            "HTTP_HOST": str(address.hostname),
            "HTTP_PORT": str(address.port),
            "SMTP_URL": found.smtp_url,
            "USER_SVC_URL": self.place.http["user_svc"],
            "SERVICE_TOKEN": self._token(),
            **self._settings,
        }

    def _token(self) -> str:
        """The token by which services know each other; kept beside the other secrets for later starts."""
        path = self.state_dir / "service_token"
        if not path.exists():
            write_private(path, self._service_token)
        return path.read_text()


def dead_letters(depths: Mapping[str, broker_admin.Depth]) -> dict[str, int]:
    """How many dead letters each service has, as far as the broker says."""
    return {name: depths[f"{name}.dead"].ready or 0 for name in SERVICES if f"{name}.dead" in depths}


def recorded(state_dir: Path) -> Place | None:
    """Where the system is that was started from this directory, if one was."""
    try:
        return Place(**json.loads(_place_file(state_dir).read_text()))
    except FileNotFoundError:
        return None


async def bring_up(state_dir: Path, say: Say) -> System:
    """Find or start infrastructure, then the services."""
    system = System(state_dir, await find.obtain(state_dir, say=say))
    await system.up(say)
    return system


def _free_addresses(own_ports: bool) -> dict[str, str]:
    """The usual ports where they are free, others where they are not (or where a test wants its own)."""
    others = ports.free_ports(len(PORTS))
    return {
        name: _local(other if own_ports or not ports.is_free(port) else port)
        for (name, port), other in zip(PORTS.items(), others, strict=True)
    }


def _local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _inherited() -> dict[str, str]:
    """What a child needs of our environment, and nothing that would be taken for a setting."""
    return {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "TZ")}


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"


def _process(name: str, instance: int) -> str:
    return name if instance == 1 else f"{name}.{instance}"


def _place_file(state_dir: Path) -> Path:
    return state_dir / "system.json"

"""The shop as containers, through the `docker compose` command."""

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.message import Command
from contracts.catalog import NAMES
from journey.admin import instances
from journey.admin.broker.management import BrokerAdmin
from journey.admin.endpoints import GATEWAY, ShopEndpoints, forget, record, recorded
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.plan_or_apply import DIFFERENCES
from journey.admin.private_files import write_private
from journey.admin.progress_log import Log
from journey.admin.registry import SERVICES, SHOP_PORT, shop_topology
from journey.client import Client
from journey.devenv.infra import docker, ports
from journey.devenv.process_shop import ROOT, VHOST, dead_letters

IMAGES = ["rabbitmq:4-management", "mongo:7", "axllent/mailpit:latest", "python:3.13-slim-bookworm"]
USUAL = {"SHOP_PORT": SHOP_PORT, "AMQP_PORT": 25673, "RABBITMQ_UI_PORT": 15673, "MAILBOX_PORT": 8026}
# The second one publishes the ports that the commands of this machine need.
FILES = os.pathsep.join(str(ROOT / name) for name in ("compose.yaml", "compose.tools.yaml"))
_SERVICE_PORT = 8080
NOT_RUNNING = "http://127.0.0.1:1"  # address of a service without a container: nothing listens there
UP_S_MAX = 900.0


async def unusable(log: Log) -> str:
    """Why compose cannot be used here; empty if it can."""
    try:
        await docker.require_engine()
        await docker.require_images(IMAGES, log)
    except InfrastructureUnavailable as error:
        return error.reason
    ended = await _run("docker", "compose", "version", limit_s=20)
    return "`docker compose` is not installed" if ended.returncode else ""


class ComposeShop:
    """Implements journey.devenv.shop.Shop."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._endpoints = recorded(state_dir)
        self._starting: asyncio.Task[str] | None = None

    @property
    def endpoints(self) -> ShopEndpoints:
        assert self._endpoints is not None, "not up yet"
        return self._endpoints

    async def up(self, log: Log, settings: Mapping[str, str] | None = None) -> None:
        numbers = self._numbers()
        log("docker compose up --build --wait (the first run builds images, which takes minutes)")
        try:
            how = ("--build", "--detach", "--wait", *self._scaled())
            await self._compose("up", *how, settings={**numbers, **(settings or {})})
        except InfrastructureUnavailable:
            if self._endpoints is None:  # nothing was up before, so leave nothing half-started
                await self._compose("down", "--timeout", "28")
            raise
        passwords = {name: await self._secret(name) for name in (*SERVICES, NAMES.client)}
        self._endpoints = ShopEndpoints(
            kind="compose",
            vhost=VHOST,
            amqp_base=f"amqp://127.0.0.1:{numbers['AMQP_PORT']}",
            passwords=passwords | {OPERATOR: await self._in_operator("/operator/password")},
            http=await self._addresses(),
            rabbitmq_ui=f"http://127.0.0.1:{numbers['RABBITMQ_UI_PORT']}",
            mailbox_url=f"http://127.0.0.1:{numbers['MAILBOX_PORT']}",
            public={GATEWAY: f"http://127.0.0.1:{numbers['SHOP_PORT']}"},
            service_token=await self._secret("service_token"),
            scale=self._endpoints.scale if self._endpoints is not None else {},
        )
        record(self.state_dir, self._endpoints)
        log("all containers are healthy")

    async def down(self, log: Log) -> None:
        await self._compose("down", "--timeout", "28", settings={"COMPOSE_PROFILES": "*"})
        forget(self.state_dir)
        log("containers stopped; their volumes are kept")

    async def set(self, name: str, **settings: str) -> None:
        """Restart a service with other settings; without any, with its default ones."""
        await self._compose("up", "--detach", "--wait", *self._scaled(name), name, settings=settings)
        await self.locate()

    async def scale(self, wanted: Mapping[str, int], log: Log = lambda text: None) -> None:
        """Set the number of instances of these services. Surplus instances drain before they stop.

        Raises InfrastructureUnavailable for the gateway, which has one public port.
        """
        if GATEWAY in wanted:
            raise InfrastructureUnavailable(
                "this shop in containers publishes one port for one gateway",
                "compose.yaml says how several gateways share a range of ports",
            )
        self._endpoints = replace(self.endpoints, scale={**self.endpoints.scale, **wanted})
        record(self.state_dir, self.endpoints)
        log(f"docker compose up {' '.join(self._scaled(*wanted))}")
        await self._compose("up", "--detach", "--wait", "--no-recreate", *self._scaled(*wanted), *wanted)
        await self.locate()

    async def locate(self) -> None:
        """Look up the containers' ports again: they change with each start."""
        self._endpoints = replace(self.endpoints, http=await self._addresses())
        record(self.state_dir, self._endpoints)

    def start(self, name: str) -> None:
        self._starting = asyncio.create_task(self._compose("start", name))

    async def ready(self, names: list[str]) -> None:
        if self._starting is not None:
            await self._starting
        await self._compose("up", "--detach", "--wait", "--no-recreate", *self._scaled(*names), *names)
        await self.locate()

    async def stop(self, name: str) -> None:
        await self._compose("stop", "--timeout", "28", name)

    async def send(self, user: str, *commands: Command) -> None:
        async with Client(self.endpoints.amqp_url(user), name=user, listen=False) as client:
            await client.send(*commands)

    async def dead(self) -> dict[str, int]:
        async with self._admin() as admin:
            return dead_letters(await admin.depths(VHOST))

    async def topology_plan(self) -> list[str]:
        async with self._admin() as admin:
            return await admin.plan(shop_topology(), VHOST)

    async def apply_topology(self) -> None:
        async with self._admin() as admin:
            await admin.apply(shop_topology(), VHOST, self.endpoints.passwords)

    async def database_plan(self) -> list[str]:
        """The database is reached from inside the network only."""
        ended = await self._administer("plan")
        # Compose itself ends with 1, too, for example without the container; it then prints no difference.
        if ended.returncode != 0 and not (ended.returncode == DIFFERENCES and ended.stdout.strip()):
            raise _failed("exec", ended)
        return ended.stdout.splitlines()

    async def apply_database(self) -> None:
        if (ended := await self._administer("apply")).returncode != 0:
            raise _failed("exec", ended)

    async def _administer(self, act: str) -> CompletedProcess[str]:
        return await self._run("exec", "-T", "operator", "python", "-m", "journey.admin.database", act)

    def _admin(self) -> BrokerAdmin:
        return BrokerAdmin(self.endpoints.management_url)

    def _numbers(self) -> dict[str, str]:
        """The default ports where they are free; a running shop keeps its ports."""
        path = self.state_dir / "compose_ports.json"
        known: dict[str, str] = (
            json.loads(path.read_text()) if self._endpoints is not None and path.exists() else {}
        )
        others = ports.free_ports(len(USUAL))
        chosen = {
            name: os.environ.get(name, str(port if ports.is_free(port) else other))
            for (name, port), other in zip(USUAL.items(), others, strict=True)
        } | known
        write_private(path, json.dumps(chosen))
        return chosen

    def _scaled(self, *only: str) -> list[str]:
        """Without --scale, compose goes back to one instance.

        It rejects the option for services that are not named.
        """
        scale = self._endpoints.scale if self._endpoints is not None else {}
        named = {service: count for service, count in scale.items() if not only or service in only}
        return [
            argument for service, count in named.items() for argument in ("--scale", f"{service}={count}")
        ]

    async def _addresses(self) -> dict[str, str]:
        return addresses(await self._compose("ps", "--format", "json"))

    async def _secret(self, name: str) -> str:
        return await self._in_operator(f"/credentials/{name}")

    async def _in_operator(self, file: str) -> str:
        return (await self._compose("exec", "-T", "operator", "cat", file)).strip()

    async def _compose(self, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
        """The output of a command. Raises InfrastructureUnavailable if it fails."""
        ended = await self._run(*arguments, settings=settings)
        if ended.returncode != 0:
            raise _failed(arguments[0], ended)
        return ended.stdout

    async def _run(self, *arguments: str, settings: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        path = self.state_dir / "compose_ports.json"
        numbers = json.loads(path.read_text()) if path.exists() else {}
        return await _run(
            "docker",
            "compose",
            *arguments,
            environment=_environment({**numbers, **(settings or {})}),
            limit_s=UP_S_MAX,
        )


def _failed(command: str, ended: CompletedProcess[str]) -> InfrastructureUnavailable:
    text = "\n".join(filter(None, (ended.stdout.strip(), ended.stderr.strip())))
    return InfrastructureUnavailable(
        f"docker compose {command} failed: {text[-800:]}", "check `docker compose logs`"
    )


def addresses(listing: str) -> dict[str, str]:
    """Process -> HTTP address, from the output of `docker compose ps --format json`."""
    found: dict[str, str] = {}
    for each in sorted(_listed(listing), key=lambda each: int(str(each["Name"]).rpartition("-")[2])):
        service = str(each["Service"])
        ports_ = [
            p["PublishedPort"] for p in each.get("Publishers") or () if p["TargetPort"] == _SERVICE_PORT
        ]
        if service in SERVICES and ports_ and ports_[0]:
            instance = sum(instances.service_of(process) == service for process in found) + 1
            found[instances.process_of(service, instance)] = f"http://127.0.0.1:{ports_[0]}"
    return dict.fromkeys(SERVICES, NOT_RUNNING) | found


def _listed(listing: str) -> list[dict[str, Any]]:
    """One JSON object per line; before compose 2.21, one JSON array."""
    if listing.lstrip().startswith("["):
        every: list[dict[str, Any]] = json.loads(listing)
        return every
    return [json.loads(line) for line in listing.splitlines() if line.startswith("{")]


def located(endpoints: ShopEndpoints) -> ShopEndpoints:
    """The endpoints with the containers' current ports; unchanged if Docker does not respond."""
    try:
        listed = subprocess.run(
            ["docker", "compose", "ps", "--format", "json"],
            cwd=ROOT,
            env=_environment({}),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return endpoints
    return replace(endpoints, http=addresses(listed.stdout))


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """COMPOSE_FILE of the environment names further files, as for `docker compose`."""
    files = os.pathsep.join(filter(None, (FILES, os.environ.get("COMPOSE_FILE"))))
    return {"JOURNEY_ALLOW_FAULTS": "1", **os.environ, **settings, "COMPOSE_FILE": files}


async def _run(
    *arguments: str, environment: Mapping[str, str] | None = None, limit_s: float
) -> CompletedProcess[str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=ROOT,
            env=dict(environment) if environment else None,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        return CompletedProcess(arguments, 127, "", f"{arguments[0]} is not installed")
    try:
        async with asyncio.timeout(limit_s):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        return CompletedProcess(
            arguments, 124, "", f"{' '.join(arguments[:3])} took longer than {limit_s:.0f} s"
        )
    texts = (each.decode(errors="replace") for each in (output, errors))
    return CompletedProcess(arguments, process.returncode or 0, *texts)

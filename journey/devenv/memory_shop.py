"""The shop in one process on the in-memory adapters: for the demo without a broker and a database.

It has the gateway, but not the staff pages: they need a real broker.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from chassis import telemetry
from chassis.application import ApplicationParts, application_of
from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.clock import utc_now
from chassis.fault_switches import FaultSwitches
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from chassis.runtime import Runtime
from chassis.settings import Settings, load_settings
from chassis.telemetry.tracing_setup import start_tracing
from chassis.web.app import Server, create_app
from contracts.catalog import CATALOG
from gateway.__main__ import serve_public_api
from gateway.orders import internal_api
from gateway.service import gateway_service
from gateway.settings import GatewaySettings
from journey.admin.endpoints import ShopEndpoints
from journey.admin.progress_log import Log
from journey.admin.registry import CONSUMING_SERVICES, SERVICES, WEB_PROGRAMS, shop_topology
from journey.devenv import addresses
from journey.devenv.infra.model import Infrastructure

_TOKEN = "inside-one-process"
_UNUSED: Any = {"amqp_url": "amqp://memory", "mongo_url": "mongodb://memory"}


class MemoryShop:
    """Implements journey.devenv.shop.Shop. Stores survive the stop of a service, as a database would."""

    def __init__(
        self, infrastructure: Infrastructure, deadline_s: float | None, *, own_ports: bool = False
    ) -> None:
        """`own_ports`: free ports instead of the usual ones, which shops of other processes may take too."""
        http, public = addresses.of_all(usual=not own_ports)
        self.endpoints = ShopEndpoints(
            kind="memory",
            vhost="",
            amqp_base="",
            passwords={},
            http={name: http[name] for name in CONSUMING_SERVICES},
            rabbitmq_ui="",
            mailbox_url=infrastructure.mailbox_url,
            public=public,
            service_token=_TOKEN,
        )
        self._infrastructure = infrastructure
        self._deadline_s = deadline_s
        self._broker = MemoryBroker(shop_topology())
        self._stores = {name: MemoryStore() for name in CONSUMING_SERVICES}
        self._other_stores: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)
        self._runtimes: dict[str, Runtime] = {}
        self._stop_tracing: Callable[[], None] = lambda: None
        self._servers: dict[str, tuple[Server, asyncio.Task[None]]] = {}

    async def up(self, log: Log) -> None:
        telemetry.configure("warning", pretty=True)
        self._stop_tracing = start_tracing()
        for name in CONSUMING_SERVICES:
            self.start(name)
        await self.ready(list(CONSUMING_SERVICES))
        log("all services run in this process, in memory: all data is lost at its end")

    def start(self, name: str) -> None:
        parts = self._parts(name)
        bus = MemoryBus(self._broker, name)
        runtime = Runtime(
            parts.service,
            bus,
            self._stores[name],
            effects=parts.effects,
            lifespan=parts.lifespan,
            faults=FaultSwitches(parts.faults),
        )
        settings = Settings(**_UNUSED, http_port=_port(self.endpoints.http[name]))
        server = Server(create_app(runtime, parts.routes(runtime) if parts.routes else None), settings)
        self._runtimes[name] = runtime
        self._servers[name] = server, asyncio.create_task(server.serve())

    async def set(self, name: str, **settings: str) -> None:
        """Does nothing: the process ends with the demo."""

    async def ready(self, names: list[str]) -> None:
        for name in names:
            await self._runtimes[name].start()
            server, _ = self._servers[name]
            while not server.started:
                await asyncio.sleep(0.01)

    async def stop(self, name: str) -> None:
        server, serving = self._servers.pop(name)
        server.finish()
        await serving
        await self._runtimes.pop(name).stop(5)

    async def down(self, log: Log) -> None:
        for name in list(self._runtimes):
            await self.stop(name)
        self._stop_tracing()
        log("stopped")

    async def send(self, user: str, *commands: Command) -> None:
        bus = MemoryBus(self._broker, user)
        envelopes = [
            wrap(command, id=str(new_id()), source=user, now=utc_now(), correlation_id=command.subject)
            for command in commands
        ]
        for error in await bus.publish([envelope.wire_message(CATALOG) for envelope in envelopes]):
            if error is not None:
                raise error

    async def dead(self) -> dict[str, int]:
        return {name: len(self._broker.dead(name)) for name in CONSUMING_SERVICES}

    def _parts(self, name: str) -> ApplicationParts:
        """What the process of this service runs, with in-memory stores."""
        if name in SERVICES:
            application = application_of(name)
            settings = load_settings(application.settings, **self._settings())
            return _partitioned(application.build(settings, self._other_stores.__getitem__), settings)
        gateway = self._gateway_settings()
        parts = ApplicationParts(
            gateway_service(gateway.ttl),
            routes=partial(internal_api.routes, settings=gateway),
            lifespan=partial(serve_public_api, gateway),
        )
        return _partitioned(parts, gateway)

    def _gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(**self._settings())

    def _settings(self) -> dict[str, Any]:
        """The settings of all services, of which each takes its own."""
        found, http = self._infrastructure, self.endpoints.http
        deadline = {} if self._deadline_s is None else {"order_deadline_s": self._deadline_s}
        return {
            **_UNUSED,
            **{f"{name}_url": http[name] for name in http if name not in WEB_PROGRAMS},
            **deadline,
            "smtp_url": found.smtp_url,
            "service_token": _TOKEN,
            "shop_url": self.endpoints.shop_url,
            "public_url": self.endpoints.shop_url,
            "public_port": _port(self.endpoints.shop_url),
        }


def _partitioned(parts: ApplicationParts, settings: Settings) -> ApplicationParts:
    service = replace(parts.service, partitions=settings.partitions_of(parts.service.name))
    return replace(parts, service=service)


def _port(address: str) -> int:
    return int(addresses.port_of(address))

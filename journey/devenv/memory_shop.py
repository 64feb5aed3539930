"""The shop in one process on the in-memory adapters: for the demo without a broker and a database.

It has the gateway, but not the staff pages: they need a real broker.
"""

import asyncio
from functools import partial
from typing import Any

from chassis import telemetry
from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.clock import utc_now
from chassis.messaging.envelope import wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from chassis.runtime import Effects, Routes, Runtime
from chassis.settings import Settings
from chassis.web.app import Server, create_app
from contracts.catalog import CATALOG
from gateway.__main__ import serve_public_api
from gateway.settings import GatewaySettings
from inventory_svc import api as inventory_api
from journey.admin.endpoints import ShopEndpoints
from journey.admin.progress_log import Log
from journey.admin.registry import CONSUMING_SERVICES, shop_topology
from journey.devenv import addresses
from journey.devenv.infra.model import Infrastructure
from notification_svc import api as notification_api
from notification_svc.mailer import open_mailer
from notification_svc.settings import NotificationSettings
from order_svc import api as order_api
from order_svc.service import order_service
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator
from product_svc import api as product_api
from user_svc.http import sessions_api as user_api

_TOKEN = "inside-one-process"
_UNUSED: Any = {"amqp_url": "amqp://memory", "mongo_url": "mongodb://memory"}


class MemoryShop:
    """Implements journey.devenv.shop.Shop. Stores survive the stop of a service, as a database would."""

    def __init__(self, infrastructure: Infrastructure, deadline_s: float | None) -> None:
        http, public = addresses.of_all(usual=True)
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
        self._ledger = MemoryStore()
        self._runtimes: dict[str, Runtime] = {}
        self._servers: dict[str, tuple[Server, asyncio.Task[None]]] = {}

    async def up(self, say: Log) -> None:
        telemetry.configure("warning", pretty=True)
        for name in CONSUMING_SERVICES:
            self.start(name)
        await self.ready(list(CONSUMING_SERVICES))
        say("all services run in this process, in memory: all data is lost at its end")

    def start(self, name: str) -> None:
        service = CONSUMING_SERVICES[name]()
        if name == "order_svc" and self._deadline_s is not None:
            service = order_service(self._deadline_s)
        routes, effects = self._parts(name)
        lifespan = partial(serve_public_api, self._door()) if name == "gateway" else None
        bus = MemoryBus(self._broker, name)
        runtime = Runtime(service, bus, self._stores[name], effects=effects, lifespan=lifespan)
        settings = Settings(**_UNUSED, http_port=_port(self.endpoints.http[name]))
        server = Server(create_app(runtime, routes(runtime) if routes else None), settings)
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
        server.should_exit = True
        await serving
        await self._runtimes.pop(name).stop(5)

    async def down(self, say: Log) -> None:
        for name in list(self._runtimes):
            await self.stop(name)
        say("stopped")

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

    def _parts(self, name: str) -> tuple[Routes | None, Effects | None]:
        """The same wiring as in each service's __main__, with in-memory stores."""
        match name:
            case "payment_svc":
                return with_simulator(SimulatedProvider(self._ledger, latency_ms=5))
            case "notification_svc":
                found = self._infrastructure
                settings = NotificationSettings(
                    **_UNUSED,
                    smtp_url=found.smtp_url,
                    user_svc_url=self.endpoints.http["user_svc"],
                    service_token=_TOKEN,
                    shop_url=self.endpoints.shop_url,
                )
                return notification_api.routes, lambda runtime: open_mailer(settings, runtime.clock)
            case "user_svc":
                return partial(user_api.routes, service_token=_TOKEN), None
            case "gateway":
                return None, None
            case _:
                plain = {
                    "order_svc": order_api.routes,
                    "inventory_svc": inventory_api.routes,
                    "product_svc": product_api.routes,
                }
                return plain[name], None

    def _door(self) -> GatewaySettings:
        http = self.endpoints.http
        return GatewaySettings(
            **_UNUSED,
            public_port=_port(self.endpoints.shop_url),
            public_url=self.endpoints.shop_url,
            user_svc_url=http["user_svc"],
            product_svc_url=http["product_svc"],
            inventory_svc_url=http["inventory_svc"],
            service_token=_TOKEN,
        )


def _port(address: str) -> int:
    return int(addresses.port_of(address))

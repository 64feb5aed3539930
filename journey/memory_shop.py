"""The shop in this one process, on the in-memory adapters: for the demo where nothing real is to be had.

With its public door, and without the operators' pages: they look into a real broker, which is not here.
"""

import asyncio
from functools import partial
from typing import Any

from chassis import telemetry
from chassis.handle import utc_now
from chassis.http import Server, application
from chassis.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.runtime import Effects, Routes, Runtime
from chassis.settings import Settings
from contracts.envelope import seal
from contracts.identity import new_id
from contracts.message import Command
from gateway.__main__ import open_to_the_public
from gateway.settings import GatewaySettings
from inventory_svc import api as inventory_api
from journey import addresses
from journey.infra.model import Infrastructure
from journey.place import Place
from journey.services import HEARERS, whole_topology
from journey.system import Say
from notification_svc import api as notification_api
from notification_svc.mailer import mailing
from notification_svc.settings import NotificationSettings
from order_svc import api as order_api
from order_svc.service import order_service
from payment_svc.simulator import SimulatedProvider
from payment_svc.wiring import with_simulator
from product_svc import api as product_api
from user_svc import api as user_api

_TOKEN = "inside-one-process"
_UNUSED: Any = {"amqp_url": "amqp://memory", "mongo_url": "mongodb://memory"}


class MemoryShop:
    """See journey.shop.Shop. Stores outlive a stopped service, as a database would."""

    def __init__(self, infrastructure: Infrastructure, deadline_s: float | None) -> None:
        http, public = addresses.of_all(usual=True)
        self.place = Place(
            kind="memory",
            vhost="",
            amqp_base="",
            passwords={},
            http={name: http[name] for name in HEARERS},
            rabbitmq_ui="",
            mailbox_url=infrastructure.mailbox_url,
            public=public,
            service_token=_TOKEN,
        )
        self._infrastructure = infrastructure
        self._deadline_s = deadline_s
        self._broker = MemoryBroker(whole_topology())
        self._stores = {name: MemoryStore() for name in HEARERS}
        self._ledger = MemoryStore()
        self._runtimes: dict[str, Runtime] = {}
        self._servers: dict[str, tuple[Server, asyncio.Task[None]]] = {}

    async def up(self, say: Say) -> None:
        telemetry.configure("warning", pretty=True)
        for name in HEARERS:
            self.start(name)
        await self.ready(list(HEARERS))
        say("all services run in this process, in memory: nothing of it will survive")

    def start(self, name: str) -> None:
        service = HEARERS[name]()
        if name == "order_svc" and self._deadline_s is not None:
            service = order_service(self._deadline_s)
        routes, effects = self._parts(name)
        bus = MemoryBus(self._broker, name)
        runtime = Runtime(service, bus, self._stores[name], effects=effects)
        settings = Settings(**_UNUSED, http_port=_port(self.place.http[name]))
        server = Server(application(runtime, routes(runtime) if routes else None), settings)
        self._runtimes[name] = runtime
        self._servers[name] = server, asyncio.create_task(server.serve())

    async def set(self, name: str, **settings: str) -> None:
        """Nothing to keep: the process ends with the demo."""

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

    async def down(self, say: Say) -> None:
        for name in list(self._runtimes):
            await self.stop(name)
        say("stopped")

    async def send(self, user: str, *commands: Command) -> None:
        bus = MemoryBus(self._broker, user)
        envelopes = [
            seal(command, id=str(new_id()), source=user, now=utc_now(), correlation_id=command.subject)
            for command in commands
        ]
        for error in await bus.publish([envelope.parcel() for envelope in envelopes]):
            if error is not None:
                raise error

    async def dead(self) -> dict[str, int]:
        return {name: len(self._broker.dead(name)) for name in HEARERS}

    def _parts(self, name: str) -> tuple[Routes | None, Effects | None]:
        """The same wiring as in each service's __main__, on in-memory stores."""
        match name:
            case "payment_svc":
                return with_simulator(SimulatedProvider(self._ledger, latency_ms=5))
            case "notification_svc":
                found = self._infrastructure
                settings = NotificationSettings(
                    **_UNUSED,
                    smtp_url=found.smtp_url,
                    user_svc_url=self.place.http["user_svc"],
                    service_token=_TOKEN,
                    shop_url=self.place.shop_url,
                )
                return notification_api.routes, lambda runtime: mailing(settings, runtime.clock)
            case "user_svc":
                return partial(user_api.routes, service_token=_TOKEN), None
            case "gateway":
                return None, partial(open_to_the_public, self._door())
            case _:
                plain = {
                    "order_svc": order_api.routes,
                    "inventory_svc": inventory_api.routes,
                    "product_svc": product_api.routes,
                }
                return plain[name], None

    def _door(self) -> GatewaySettings:
        http = self.place.http
        return GatewaySettings(
            **_UNUSED,
            public_port=_port(self.place.shop_url),
            public_url=self.place.shop_url,
            user_svc_url=http["user_svc"],
            product_svc_url=http["product_svc"],
            inventory_svc_url=http["inventory_svc"],
            service_token=_TOKEN,
        )


def _port(address: str) -> int:
    return int(addresses.port_of(address))

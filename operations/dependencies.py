"""What the pages need, built once per process. Tests inject a broker and a transport."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx

from chassis import instances
from chassis.clock import Clock, utc_now
from chassis.web.http_client import UpstreamClient
from operations.access import StaffAccess
from operations.broker import Broker
from operations.dead_letters.cache import DeadLetterCache
from operations.dead_letters.jobs import RedriveJobs
from operations.monitoring.poller import SystemPoller
from operations.orders.stuck_orders import StuckOrders
from operations.settings import OperationsSettings
from operations.web.staff_pages import PageTools
from operations.web.templating import NavigationCounts, PageRenderer


class OperationsDependencies:
    def __init__(
        self,
        settings: OperationsSettings,
        *,
        broker: Broker | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.settings = settings
        self.broker = broker or Broker(settings.broker_url(), settings.management_url(), settings.vhost)
        transport = transport or instances.transport(settings.instances_file)
        self.http = httpx.AsyncClient(transport=transport, trust_env=False)
        self.services = {
            name: UpstreamClient(name, address, transport=transport)
            for name, address in settings.addresses.items()
        }
        self.access = StaffAccess(self.services["user_svc"], clock)
        self.poller = SystemPoller(self.broker, self.http, settings.addresses, clock, settings.poll_s)
        self.dead_letters = DeadLetterCache(self.broker, clock)
        self.jobs = RedriveJobs(self.broker, self.dead_letters, settings.addresses, clock)
        self.jobs.on_progress = self.poller.notify
        self.stuck_orders = StuckOrders(self.http, settings.addresses, self.poller, self.dead_letters, clock)
        self.stopping = asyncio.Event()
        self.renderer = PageRenderer(settings, clock, self._navigation_counts())
        self.tools = PageTools(
            renderer=self.renderer,
            broker=self.broker,
            services=self.services,
            http=self.http,
            addresses=settings.addresses,
            clock=clock,
        )

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["OperationsDependencies"]:
        """Runs the pollers. On exit, stops running jobs and returns the messages that they hold."""
        try:
            async with self.poller.running():
                yield self
        finally:
            self.stopping.set()
            await self.jobs.close()
            await self.stuck_orders.close()
            await self.dead_letters.close()
            for upstream in self.services.values():
                await upstream.close()
            await self.http.aclose()
            await self.broker.close()

    def unready(self) -> str:
        """Why the process is not ready; empty if it is. The broker and the services need not be up."""
        return "stopping" if self.stopping.is_set() else ""

    def _navigation_counts(self) -> NavigationCounts:
        return NavigationCounts(
            dead=lambda: self.poller.snapshot.dead,
            stuck=lambda: self.stuck_orders.count,
            refresh=self.stuck_orders.count_in_background,
        )

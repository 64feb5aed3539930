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
from operations.monitoring.fault_panel import FaultPanel
from operations.monitoring.history import History
from operations.monitoring.poller import SystemPoller, running
from operations.monitoring.recorder import HistoryRecorder
from operations.monitoring.service_processes import Lookup, ServiceProcesses, look_up
from operations.orders.delivery import DeliveryReader
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
        lookup: Lookup = look_up,
    ) -> None:
        self.settings = settings
        tls = settings.client_tls()
        self.broker = broker or Broker(settings, tls)
        # for requests to one process of a service, and not to another instance if that one does not respond
        self.http_to_process = httpx.AsyncClient(transport=transport, trust_env=False, verify=tls)
        transport = transport or instances.transport(settings.instances_file, tls)
        self.http = httpx.AsyncClient(transport=transport, trust_env=False, verify=tls)
        self.services = {
            name: UpstreamClient(name, address, caller="operations", transport=transport, verify=tls)
            for name, address in settings.addresses.items()
        }
        self.access = StaffAccess(self.services["user_svc"], clock)
        processes = ServiceProcesses(settings.addresses, settings.instances_file, lookup)
        self.poller = SystemPoller(
            self.broker,
            http=self.http_to_process,
            processes=processes,
            clock=clock,
            poll_s=settings.poll_s,
        )
        self.history = History()
        self.recorder = HistoryRecorder(
            self.history,
            lambda: self.poller.snapshot,
            http=self.http_to_process,
            processes=processes,
            clock=clock,
        )
        allowed = settings.journey_allow_faults
        self.faults = FaultPanel(self.http_to_process, processes) if allowed else None
        self.dead_letters = DeadLetterCache(self.broker, clock)
        self.jobs = RedriveJobs(self.broker, self.dead_letters, settings.addresses, clock)
        self.jobs.on_progress = self.poller.notify
        self.stuck_orders = StuckOrders(self.http, settings.addresses, self.poller, self.dead_letters, clock)
        self.deliveries = DeliveryReader(self.services["gateway"], self.broker, clock)
        self.stopping = asyncio.Event()
        self.renderer = PageRenderer(settings, clock, self._navigation_counts())
        self.tools = self._page_tools(clock)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["OperationsDependencies"]:
        """Runs the pollers. On exit, stops running jobs and returns the messages that they hold."""
        try:
            loops = [self.recorder.run(), *([self.faults.run()] if self.faults is not None else [])]
            async with self.poller.running(), running(*loops):
                yield self
        finally:
            self.stopping.set()
            await self.jobs.close()
            await self.stuck_orders.close()
            await self.dead_letters.close()
            for upstream in self.services.values():
                await upstream.close()
            await self.http.aclose()
            await self.http_to_process.aclose()
            await self.broker.close()

    def unready(self) -> str:
        """Why the process is not ready; empty if it is. The broker and the services need not be up."""
        return "stopping" if self.stopping.is_set() else ""

    def _page_tools(self, clock: Clock) -> PageTools:
        return PageTools(
            renderer=self.renderer,
            broker=self.broker,
            services=self.services,
            http=self.http,
            addresses=self.settings.addresses,
            clock=clock,
        )

    def _navigation_counts(self) -> NavigationCounts:
        return NavigationCounts(
            dead=lambda: self.poller.snapshot.dead,
            stuck=lambda: self.stuck_orders.count,
            refresh=self.stuck_orders.count_in_background,
        )

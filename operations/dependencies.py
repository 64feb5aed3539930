"""What the pages need, built once per process. Tests inject a broker and a transport."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import httpx
from fastapi import Request
from starlette.exceptions import HTTPException

from chassis import instances
from chassis.clock import Clock, utc_now
from chassis.messaging.message import Command
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.http.access import AccessToken, NotValid
from operations.access import StaffAccess
from operations.broker import Broker, CommandNotSent
from operations.dead_letters.cache import DeadLetterCache
from operations.dead_letters.jobs import RedriveJobs
from operations.monitoring.poller import SystemPoller
from operations.orders.stuck_orders import StuckOrders
from operations.settings import OperationsSettings
from operations.web.forms import StaffForm

_BEARER = "Bearer "
_WAIT_S_MAX, _POLL_S = 2.0, 0.1


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
        self.clock = clock
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

    async def staff(self, request: Request) -> AccessToken:
        """Authenticates the request. Without a staff token every path is a 404."""
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith(_BEARER):
            raise HTTPException(404)
        try:
            token = await self.access.check(authorization.removeprefix(_BEARER))
        except NotValid:
            raise HTTPException(404) from None
        except UpstreamUnavailable as away:
            raise HTTPException(
                503,
                "user_svc does not respond, so the access token cannot be checked",
                {"Retry-After": str(away.retry_after_s)},
            ) from None
        request.state.token = token
        return token

    async def may_stay(self, request: Request) -> bool:
        """Whether the viewer of a stream is still authorised."""
        try:
            await self.staff(request)
        except HTTPException:
            return False
        return True

    async def send_command(self, request: Request, form: StaffForm, command: Command) -> bool:
        """Send the command as the current user.

        If the broker does not confirm it, the form shows an error.
        """
        try:
            await self.broker.send_command(command, str(current_user_id(request)))
        except CommandNotSent as error:
            form.errors["form"] = f"Not sent: {error}"
            return False
        return True


def current_user_id(request: Request) -> UUID:
    """The user id of the staff member who sends the request."""
    token: AccessToken = request.state.token
    return token.user_id


async def wait_briefly(is_seen: Callable[[], Awaitable[bool]]) -> bool:
    """Wait briefly for the service to handle the command, so that the next page usually shows its effect."""
    end = asyncio.get_running_loop().time() + _WAIT_S_MAX
    while asyncio.get_running_loop().time() < end:
        with contextlib.suppress(UpstreamUnavailable):  # the command waits in its queue
            if await is_seen():
                return True
        await asyncio.sleep(_POLL_S)
    return False

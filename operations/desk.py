"""All that the pages stand on, put together once: for the process, and for tests with a broker of their own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import httpx
from fastapi import Request
from starlette.exceptions import HTTPException

from chassis import instances
from chassis.handle import Clock, utc_now
from contracts.access import AccessToken, NotValid
from contracts.message import Command
from gateway.upstream import Away, Upstream
from operations.access import StaffAccess
from operations.broker import Broker, NotGiven
from operations.forms import Form
from operations.letters import Letters
from operations.runs import Runs
from operations.settings import OperationsSettings
from operations.waiting import Waiting
from operations.watch import Watch

_BEARER = "Bearer "
_SEEN_S_MAX, _AGAIN_S = 2.0, 0.1


class Desk:
    def __init__(
        self,
        settings: OperationsSettings,
        *,
        broker: Broker | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.settings, self.clock = settings, clock
        self.broker = broker or Broker(settings.broker_url(), settings.management_url(), settings.vhost)
        transport = transport or instances.transport(settings.instances_file)
        self.http = httpx.AsyncClient(transport=transport, trust_env=False)
        self.services = {
            name: Upstream(name, address, transport=transport) for name, address in settings.addresses.items()
        }
        self.access = StaffAccess(self.services["user_svc"], clock)
        self.watch = Watch(self.broker, self.http, settings.addresses, clock, settings.poll_s)
        self.letters = Letters(self.broker, clock)
        self.runs = Runs(self.broker, self.letters, settings.addresses, clock)
        self.runs.on_progress = self.watch.tell
        self.waiting = Waiting(self.http, settings.addresses, self.watch, self.letters, clock)
        self.stopping = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Desk"]:
        """Watching; at the end whatever runs is stopped, and what it had in hand goes back."""
        try:
            async with self.watch.running():
                yield self
        finally:
            self.stopping.set()
            await self.runs.close()
            await self.waiting.close()
            await self.letters.close()
            for upstream in self.services.values():
                await upstream.close()
            await self.http.aclose()
            await self.broker.close()

    def unready(self) -> str:
        """Why it is of no use just now; the services and the broker may well be away, for that is what it shows."""
        return "stopping" if self.stopping.is_set() else ""

    async def staff(self, request: Request) -> AccessToken:
        """Who asks. For everybody but the staff there is nothing here: 404, as for a path that never was."""
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith(_BEARER):
            raise HTTPException(404)
        try:
            token = await self.access.check(authorization.removeprefix(_BEARER))
        except NotValid:
            raise HTTPException(404) from None
        except Away as away:
            raise HTTPException(
                503, "user_svc does not answer, so nobody can be known", {"Retry-After": str(away.retry_after_s)}
            ) from None
        request.state.token = token
        return token

    async def may_stay(self, request: Request) -> bool:
        """Whether who reads a page that is read for long would be let in again."""
        try:
            await self.staff(request)
        except HTTPException:
            return False
        return True

    async def give(self, request: Request, form: Form, command: Command) -> bool:
        """In the name of who asks. If the broker does not take it, the form says so."""
        try:
            await self.broker.give(command, str(who(request)))
        except NotGiven as error:
            form.errors["form"] = f"Not given: {error}"
            return False
        return True


def who(request: Request) -> UUID:
    """The member of the staff whose request this is."""
    token: AccessToken = request.state.token
    return token.user_id


async def soon(is_seen: Callable[[], Awaitable[bool]]) -> bool:
    """Wait a moment for a service to have done what it was told, so that the next page shows it in most cases."""
    end = asyncio.get_running_loop().time() + _SEEN_S_MAX
    while asyncio.get_running_loop().time() < end:
        with contextlib.suppress(Away):  # the command waits for it
            if await is_seen():
                return True
        await asyncio.sleep(_AGAIN_S)
    return False

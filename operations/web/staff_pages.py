"""What all page classes share: a router, rendering, requests to services,
and commands of the current user.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import APIRouter, HTTPException, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from chassis.clock import Clock
from chassis.messaging.message import Command
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from journey.admin.dead_letters.audit_log import AuditEntry
from operations import service_responses
from operations.access import current_user_id
from operations.broker import Broker, CommandNotSent
from operations.web.forms import StaffForm
from operations.web.templating import PageRenderer

_WAIT_S_MAX, _POLL_S = 2.0, 0.1

Page = Callable[..., Awaitable[Response]]


@dataclass(frozen=True)
class PageTools:
    """What every page may use. `services`, `addresses`: by the name of the service."""

    renderer: PageRenderer
    broker: Broker
    services: Mapping[str, UpstreamClient]
    http: httpx.AsyncClient
    addresses: Mapping[str, str]
    clock: Clock


class StaffPages(ABC):
    """The pages of one subject."""

    def __init__(self, tools: PageTools) -> None:
        self._tools = tools

    @abstractmethod
    def routes(self) -> Iterable[APIRoute]:
        """The pages, made by `get` and `post`."""

    def router(self) -> APIRouter:
        return APIRouter(routes=list(self.routes()))

    def _render(self, request: Request, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
        return self._tools.renderer.render_page(request, template, status, **context)

    async def _send(self, request: Request, form: StaffForm, command: Command) -> bool:
        """Send the command as the current user.

        If the broker does not confirm it, the form shows an error.
        """
        try:
            await self._tools.broker.send_command(command, str(current_user_id(request)))
        except CommandNotSent as error:
            form.errors["form"] = error.sentence("send this form again, and it counts once")
            return False
        return True

    async def _send_all(self, request: Request, *commands: Command) -> None:
        """Send the commands of buttons as the current user: no form could show an error.

        Raises HTTPException if the broker does not confirm one.
        """
        try:
            for command in commands:
                await self._tools.broker.send_command(command, str(current_user_id(request)))
        except CommandNotSent as error:
            raise HTTPException(503, error.sentence("sent again, it changes nothing more")) from None

    async def _record(
        self, request: Request, action: str, *, type: str, service: str, undone: str, reason: str = ""
    ) -> None:
        """Write an action of the current user that sends no message to the audit log.

        Raises HTTPException if it is not written. `undone`: what the user then reads, such as "Not exported".
        """
        by = str(current_user_id(request))
        entry = AuditEntry.of_action(
            self._tools.clock(), by, action, type=type, service=service, reason=reason
        )
        try:
            await self._tools.broker.record_action(entry)
        except CommandNotSent as error:
            raise HTTPException(503, f"{undone}, the audit log cannot be written: {error}") from None

    async def _fetch(
        self, service: str, path: str, documented: type[BaseModel], /, **query: str
    ) -> dict[str, Any] | None:
        """A service's response body; None if it responds with an error. Raises UpstreamUnavailable.

        Empty query parameters are left out.
        """
        given = {name: value for name, value in query.items() if value}
        response = await self._tools.services[service].get(path, params=given)
        return (
            service_responses.parse_response(response, documented, service) if response.is_success else None
        )


def get(path: str, page: Page) -> APIRoute:
    return APIRoute(path, page, methods=["GET"])


def post(path: str, page: Page) -> APIRoute:
    return APIRoute(path, page, methods=["POST"])


async def wait_briefly(is_seen: Callable[[], Awaitable[bool]]) -> bool:
    """Wait briefly for the service to handle the command, so that the next page usually shows its effect."""
    end = asyncio.get_running_loop().time() + _WAIT_S_MAX
    while asyncio.get_running_loop().time() < end:
        with contextlib.suppress(UpstreamUnavailable):  # the command waits in its queue
            if await is_seen():
                return True
        await asyncio.sleep(_POLL_S)
    return False

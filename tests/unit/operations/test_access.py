"""The staff pages on their own port: a revoked token is rejected from the next request on."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from starlette.requests import Request

from chassis.bus.memory import MemoryStore
from chassis.core.execute import execute
from chassis.messaging.message import Command
from contracts import users
from contracts.roles import Role
from operations.app import all_pages
from tests.support.shops import user as user_svc
from tests.support.shops.operations import OperationsApp
from user_svc.accounts.aggregates import USERS

NEW_PASSWORD = "another long and quiet sentence"


class Staff:
    """A staff member with an account at a real user_svc, and their browser at the port of operations."""

    def __init__(
        self, operations_app: OperationsApp, user_app: user_svc.UserApp, guest: user_svc.LoggedInClient
    ) -> None:
        self.deps = operations_app
        self.user_app = user_app
        self.guest = guest

    async def command(self, command: Command) -> None:
        await execute(self.user_app.runtime, USERS, str(self.guest.user_id), command)

    async def log_in(self) -> None:
        tokens = (await self.user_app.log_in()).json()
        self.guest = user_svc.LoggedInClient(self.user_app, tokens)

    async def opens(self, path: str = "/ops") -> int:
        async with self.deps.client(Authorization=f"Bearer {self.guest.token}") as browser:
            return (await browser.get(path)).status_code


@pytest.fixture
async def staff(operations_app: OperationsApp) -> AsyncIterator[Staff]:
    user_app = user_svc.UserApp(MemoryStore())
    user_app.now = datetime.now(UTC)  # tokens are checked with the real clock
    transport = user_app.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    operations_app.services.apps["user_svc"] = transport
    member = Staff(operations_app, user_app, await user_app.logged_in_user())
    await member.command(users.GrantRole(user_id=member.guest.user_id, role=Role.STAFF))
    await member.log_in()
    assert await member.opens() == 200
    yield member


async def revoke(staff: Staff, way: str) -> None:
    match way:
        case "role":
            await staff.command(users.RevokeRole(user_id=staff.guest.user_id, role=Role.STAFF))
        case "logout":
            assert (await staff.guest("DELETE", "/sessions/current")).status_code == 204
        case "everywhere":
            assert (await staff.guest("DELETE", "/sessions")).status_code == 204
        case "password":
            form = {"current": user_svc.PASSWORD, "new": NEW_PASSWORD}
            assert (await staff.guest("PUT", "/users/me/password", form)).status_code == 204
        case "erasure":
            assert (await staff.guest.erase()).status_code == 204


WAYS = ["role", "logout", "everywhere", "password", "erasure"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_revoked_token_opens_no_staff_page(staff: Staff, way: str) -> None:
    await revoke(staff, way)
    assert [await staff.opens(path) for path in ("/ops", "/ops/people", "/ops/audit")] == [404] * 3


async def test_a_role_granted_again_opens_staff_pages(staff: Staff) -> None:
    await revoke(staff, "role")
    assert await staff.opens() == 404
    await staff.command(users.GrantRole(user_id=staff.guest.user_id, role=Role.STAFF))
    await staff.log_in()
    assert await staff.opens() == 200


@pytest.mark.parametrize("response", ["away", "odd"])
async def test_without_user_svc_a_signature_suffices_unless_revoked(staff: Staff, response: str) -> None:
    if response == "away":
        staff.deps.services.away.add("user_svc")
    else:
        staff.deps.services.odd["user_svc"] = b"<html>bad gateway</html>"
    assert await staff.opens() == 200
    staff.deps.services.away.clear()
    staff.deps.services.odd.clear()
    await revoke(staff, "role")
    assert await staff.opens() == 404
    staff.deps.services.away.add("user_svc")
    assert await staff.opens() == 404


async def test_a_revoked_token_ends_an_open_stream(staff: Staff) -> None:
    deps = staff.deps.deps
    headers = [(b"authorization", f"Bearer {staff.guest.token}".encode())]
    request = Request({"type": "http", "headers": headers, "state": {}})
    await deps.access.authenticate(request)
    [events] = [
        each.endpoint for pages in all_pages(deps) for each in pages.routes() if each.path == "/ops/events"
    ]
    stream = (await events(request)).body_iterator
    async with asyncio.timeout(60):  # otherwise it would run for ten minutes
        assert [(await anext(stream))[:6] for _ in range(2)] == ["retry:", "event:"]
        await revoke(staff, "role")
        async for _ in stream:
            pass

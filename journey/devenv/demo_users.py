"""The two demo users with accounts: Ada, a customer, and Olive, of the staff."""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from chassis.messaging.envelope import OPERATOR
from chassis.messaging.identity import derived_id
from contracts.notifications import MailKind
from contracts.roles import Role
from contracts.users import GrantRole
from journey.admin.endpoints import ShopEndpoints
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.instances import responding
from journey.devenv.shop import Shop

_GRANTED_S_MAX = 20.0
_ASK_AGAIN_S = 0.5


@dataclass(frozen=True)
class DemoUser:
    user_id: UUID
    email: str
    name: str
    role: Role
    password: str = field(repr=False)


@dataclass(frozen=True)
class DemoUsers:
    customer: DemoUser
    staff: DemoUser


def people(endpoints: ShopEndpoints) -> DemoUsers:
    """Derived from the operator's password,
    so that nothing needs to be stored and strangers cannot guess them.
    """
    return DemoUsers(
        _account(endpoints, "ada@example.org", "Ada", Role.CUSTOMER),
        _account(endpoints, "ops@example.org", "Olive", Role.STAFF),
    )


async def ensure(shop: Shop) -> DemoUsers:
    """Register both and grant their roles; running it again changes nothing."""
    both = people(shop.endpoints)
    async with httpx.AsyncClient(timeout=20) as http:
        address = (await responding(http, shop.endpoints.http))["user_svc"]
    async with httpx.AsyncClient(base_url=address, timeout=20) as user_svc:
        for account in (both.customer, both.staff):
            if await log_in(user_svc, account) is None:
                await _register(user_svc, account, shop.endpoints.service_token)
            await _grant(shop, user_svc, account)
    return both


async def log_in(user_svc: httpx.AsyncClient, account: DemoUser) -> dict[str, Any] | None:
    """The tokens; None if the e-mail address or the password is wrong, or the address is not verified."""
    response = await user_svc.post("/sessions", json={"email": account.email, "password": account.password})
    if response.status_code in (401, 403):
        return None
    tokens: dict[str, Any] = response.raise_for_status().json()
    return tokens


async def _register(user_svc: httpx.AsyncClient, account: DemoUser, service_token: str) -> None:
    """Register, and verify the address with the token of the mail."""
    form = {
        "user_id": str(account.user_id),
        "email": account.email,
        "name": account.name,
        "password": account.password,
    }
    (await user_svc.post("/users", json=form)).raise_for_status()
    found = await user_svc.get(
        f"/internal/contacts/{account.user_id}",
        params={"kind": MailKind.USER_REGISTERED},
        headers={"Authorization": f"Bearer {service_token}"},
    )
    token = found.json().get("link_token") if found.is_success else None
    proof = {"token": token or "", "password": account.password}
    if not token or not (await user_svc.post("/proofs", json=proof)).is_success:
        raise InfrastructureUnavailable(
            f"{account.email} exists, but with another password than the demo's",
            "reset it by `Forgotten the password?`, or start with an empty database",
        )


async def _grant(shop: Shop, user_svc: httpx.AsyncClient, account: DemoUser) -> None:
    """Grant the role by a command over the broker, and wait until it is in the access token."""
    end = asyncio.get_running_loop().time() + _GRANTED_S_MAX
    asked = False
    while True:
        tokens = await log_in(user_svc, account)
        if tokens is not None and account.role in tokens["roles"]:
            return
        if not asked:
            await shop.send(OPERATOR, GrantRole(user_id=account.user_id, role=account.role))
            asked = True
        if asyncio.get_running_loop().time() > end:
            raise InfrastructureUnavailable(
                f"{account.email} did not get the role {account.role}", "check the log of user_svc"
            )
        await asyncio.sleep(_ASK_AGAIN_S)


def _account(endpoints: ShopEndpoints, email: str, name: str, role: Role) -> DemoUser:
    secret = endpoints.passwords.get(OPERATOR, endpoints.kind)
    password = hmac.new(secret.encode(), email.encode(), hashlib.sha256).hexdigest()[:16]
    return DemoUser(UUID(derived_id("account", email)), email, name, role, password)

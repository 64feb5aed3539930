"""Who calls: with which access token, from which network, and whether it is one of our own services."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from contracts.access import NotValid
from user_svc.house import House
from user_svc.refusals import unauthorised
from user_svc.throttle import network_of
from user_svc.user import User

_access = HTTPBearer(bearerFormat="JWT", description="the access token from POST /sessions", auto_error=False)
_service = HTTPBearer(scheme_name="Service", description="the token of our own services", auto_error=False)

Given = HTTPAuthorizationCredentials | None


@dataclass(frozen=True)
class Owner:
    """Somebody who is logged in. `sid`: by which log-in."""

    user: User
    sid: UUID


def owner_of(house: House) -> Callable[..., Awaitable[Owner]]:
    async def owner(given: Annotated[Given, Depends(_access)]) -> Owner:
        if given is None:
            raise unauthorised()
        try:
            return Owner(*await house.log_ins.who(given.credentials))
        except NotValid:
            raise unauthorised("the access token is not good, or not any more; log in again") from None

    return owner


def service_of(house: House) -> Callable[..., Awaitable[None]]:
    async def service(given: Annotated[Given, Depends(_service)]) -> None:
        if given is None or not _same(given.credentials, house.service_token):
            raise unauthorised("this is not the service token")

    return service


def network_by(house: House) -> Callable[[Request], Awaitable[str]]:
    """For the throttle. The gateway says for whom it asks; nobody else is believed."""

    async def network(request: Request) -> str:
        if _same(request.headers.get("X-Service-Token", ""), house.service_token):
            return network_of(request.headers.get("X-Client-Address", ""))
        return network_of(request.client.host if request.client else "")

    return network


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())

"""FastAPI dependencies that identify the caller: by access token, client network, or service token."""

import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from contracts.http.access import NotValid
from user_svc.accounts.user import User
from user_svc.auth.login_throttle import network_of
from user_svc.dependencies import UserDependencies
from user_svc.http.errors import unauthorised

_access = HTTPBearer(bearerFormat="JWT", description="the access token from POST /sessions", auto_error=False)
_service = HTTPBearer(scheme_name="Service", description="the token of the shop's services", auto_error=False)

_CLIENT_NAME = re.compile(r"[A-Za-z0-9 .+-]{1,60}")

BearerCredentials = HTTPAuthorizationCredentials | None


@dataclass(frozen=True)
class AuthenticatedUser:
    """`sid`: the id of the login."""

    user: User
    sid: UUID


def user_dependency(deps: UserDependencies) -> Callable[..., Awaitable[AuthenticatedUser]]:
    async def authenticate(credentials: Annotated[BearerCredentials, Depends(_access)]) -> AuthenticatedUser:
        if credentials is None:
            raise unauthorised()
        try:
            return AuthenticatedUser(*await deps.logins.authenticate(credentials.credentials))
        except NotValid:
            raise unauthorised("the access token is invalid or has expired; log in again") from None

    return authenticate


def service_dependency(deps: UserDependencies) -> Callable[..., Awaitable[None]]:
    async def service(credentials: Annotated[BearerCredentials, Depends(_service)]) -> None:
        if credentials is None or not _is_one_of(credentials.credentials, deps.service_tokens()):
            raise unauthorised("this is not the service token")

    return service


def network_dependency(deps: UserDependencies) -> Callable[[Request], Awaitable[str]]:
    """The network that the throttle counts.

    Only the gateway may state a client address other than its own.
    """

    async def network(request: Request) -> str:
        if _is_one_of(request.headers.get("X-Service-Token", ""), deps.service_tokens()):
            return network_of(request.headers.get("X-Client-Address", ""))
        return network_of(request.client.host if request.client else "")

    return network


def client_dependency(deps: UserDependencies) -> Callable[[Request], Awaitable[str]]:
    """The kind of program that logs in, as the gateway found it; empty for any other caller."""

    async def client(request: Request) -> str:
        name = request.headers.get("X-Client-Name", "")
        is_gateway = _is_one_of(request.headers.get("X-Service-Token", ""), deps.service_tokens())
        return name if is_gateway and _CLIENT_NAME.fullmatch(name) else ""

    return client


def _is_one_of(credentials: str, tokens: Sequence[str]) -> bool:
    return any(hmac.compare_digest(credentials.encode(), token.encode()) for token in tokens)

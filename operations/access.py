"""Checks access tokens for the staff pages with user_svc on every request,
so that a revoked token is rejected at once.

A valid signature does not show whether a role was revoked, a login ended or an account erased since. While
user_svc is unavailable none of these can happen, and the pages are needed most. So the signature is then
trusted, unless user_svc has rejected the token before.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from chassis.web.jwks import JwksClient
from contracts.http import access
from contracts.http.access import LEEWAY, AccessToken, NotValid
from contracts.roles import Role
from contracts.values import Id

_BEARER = "Bearer "
_ACCOUNT = "/users/me"
_REFUSED_MAX = 1_000


class _Account(BaseModel):
    """The part of contracts.http.users.Me that is needed here. A role of a later version is no error."""

    model_config = ConfigDict(extra="ignore")

    user_id: Id
    roles: tuple[str, ...]


class StaffAccess:
    def __init__(self, users: UpstreamClient, clock: Callable[[], datetime]) -> None:
        self._users = users
        self._clock = clock
        self._keys = JwksClient(users)
        self._refused: dict[Any, datetime] = {}  # token id -> when it expires by itself

    async def authenticate(self, request: Request) -> AccessToken:
        """Authenticates the request. Without a staff token every path is a 404."""
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith(_BEARER):
            raise HTTPException(404)
        try:
            token = await self.check(authorization.removeprefix(_BEARER))
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
            await self.authenticate(request)
        except HTTPException:
            return False
        return True

    async def check(self, compact: str) -> AccessToken:
        """Raises NotValid without a staff token, and UpstreamUnavailable while no signing key is cached."""
        token = access.check(compact, await self._keys.lookup(access.kid_of(compact)))
        if not token.is_staff:
            raise NotValid("not a staff token")
        if await self._is_refused(compact, token):
            self._remember(token)
            raise NotValid("the login has ended, or the role was revoked")
        return token

    async def _is_refused(self, compact: str, token: AccessToken) -> bool:
        try:
            response = await self._users.get(_ACCOUNT, token=compact)
            if response.status_code == 401:
                return True
            account = _Account.model_validate_json(response.content) if response.status_code == 200 else None
        except (UpstreamUnavailable, ValidationError):
            account = None
        if account is None:  # no response, or not one of user_svc
            return token.jti in self._refused
        return account.user_id != token.user_id or Role.STAFF not in account.roles

    def _remember(self, token: AccessToken) -> None:
        now = self._clock()
        self._refused = {jti: until for jti, until in self._refused.items() if until > now}
        if len(self._refused) < _REFUSED_MAX:
            self._refused[token.jti] = token.exp + LEEWAY


def current_user_id(request: Request) -> UUID:
    """The user id of the staff member who sends the request."""
    token: AccessToken = request.state.token
    return token.user_id


def forwarded_token(request: Request) -> str:
    """The access token of the staff member who sends the request, for a service that checks it again."""
    return request.headers.get("Authorization", "").removeprefix(_BEARER)

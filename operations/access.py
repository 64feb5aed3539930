"""Checks access tokens for the staff pages with user_svc on every request,
so that a revoked token is rejected at once.

A valid signature does not show whether a role was revoked, a login ended or an account erased since. While
user_svc is unavailable none of these can happen, and the pages are needed most. So the signature is then
trusted, unless user_svc has rejected the token before.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from chassis.web.jwks import JwksClient
from contracts.http import access
from contracts.http.access import LEEWAY, AccessToken, NotValid
from contracts.roles import Role
from contracts.values import Id

_ACCOUNT = "/users/me"
_REFUSED_MAX = 1_000


class _Account(BaseModel):
    """The part of user_svc's account response that is needed here."""

    model_config = ConfigDict(extra="ignore")

    user_id: Id
    roles: tuple[str, ...]


class StaffAccess:
    """Raises NotValid without a staff token, and UpstreamUnavailable while no signing key is cached."""

    def __init__(self, users: UpstreamClient, clock: Callable[[], datetime]) -> None:
        self._users = users
        self._clock = clock
        self._keys = JwksClient(users)
        self._refused: dict[Any, datetime] = {}  # token id -> when it expires by itself

    async def check(self, compact: str) -> AccessToken:
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

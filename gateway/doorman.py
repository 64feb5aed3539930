"""Who knocks: found out once a request, by session cookie or Bearer token, and counted. Made for FastAPI's Depends."""

from typing import Annotated, Any

from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.requests import Request

from contracts.access import NotValid
from gateway import arrival
from gateway.access_versions import AccessVersions
from gateway.client_address import rate_limit_key
from gateway.keys import Keys
from gateway.limits import Limits, Policy
from gateway.problems import Refusal
from gateway.sessions import Sessions
from gateway.settings import GatewaySettings
from gateway.visitor import Visitor

_TOKEN = HTTPBearer(
    scheme_name="accessToken", bearerFormat="JWT", description="from POST /api/v1/sessions", auto_error=False
)


class Doorman:
    """`visitor`, `member` and `staff` are dependencies of routes."""

    def __init__(
        self, settings: GatewaySettings, keys: Keys, sessions: Sessions, limits: Limits, versions: AccessVersions
    ) -> None:
        self._keys, self._sessions, self._limits, self._versions = keys, sessions, limits, versions
        self._per_user = Policy("user", settings.rate_user)
        self._per_address = Policy("anonymous", settings.rate_anonymous)

    async def visitor(self, request: Request) -> Visitor | None:
        """Who has logged in, if anybody. Raises Refusal for a token that does not count, TooMany, Away."""
        if not hasattr(request.state, "visitor"):
            request.state.visitor = await self._found_out(request)
        known: Visitor | None = request.state.visitor
        return known

    async def member(self, request: Request, _token: Annotated[Any, Security(_TOKEN)] = None) -> Visitor:
        """Whoever has logged in; nobody else comes through. `_token`: so that the API's description names it."""
        if (visitor := await self.visitor(request)) is None:
            raise Refusal("log-in", headers={"WWW-Authenticate": "Bearer"})
        return visitor

    async def staff(self, request: Request) -> Visitor:
        """For everybody else there is nothing here."""
        visitor = await self.visitor(request)
        if visitor is None or not visitor.is_staff:
            raise Refusal("not-found")
        return visitor

    async def identified(self, request: Request) -> Visitor | None:
        """Who it is now, without counting. Raises NotValid, Away, StoreUnavailable."""
        return await self._sessions.of(request) or await self._by_token(request)

    async def _found_out(self, request: Request) -> Visitor | None:
        try:
            visitor = await self.identified(request)
        except NotValid as error:
            self._count_address(request)
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Refusal("log-in", f"the access token does not count: {error}", headers=challenge) from None
        if visitor is None:
            self._count_address(request)
        else:
            self._limits.count(request, self._per_user, str(visitor.user_id))
        return visitor

    def _count_address(self, request: Request) -> None:
        self._limits.count(request, self._per_address, rate_limit_key(arrival.current().address))

    async def _by_token(self, request: Request) -> Visitor | None:
        """Other schemes than Bearer are none of ours, and say nothing."""
        scheme, _, compact = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = await self._keys.check(compact.strip())
        if token.access_version < await self._versions.required(token.user_id):
            raise NotValid("the password or the roles have changed since; refresh it, or log in again")
        return Visitor(token.user_id, token.roles, compact.strip())

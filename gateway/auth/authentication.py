"""Authenticates each request once, by session cookie or Bearer token, and applies the rate limits."""

from typing import Annotated, Any

from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.requests import Request

from chassis.web import request_context
from contracts.http.access import NotValid
from gateway.auth.access_tokens import AccessTokens
from gateway.auth.principal import Principal
from gateway.auth.session_service import SessionService
from gateway.http.client_address import rate_limit_key
from gateway.http.problems import ProblemError
from gateway.http.rate_limit import RateLimit, RateLimiter
from gateway.settings import GatewaySettings

_TOKEN = HTTPBearer(
    scheme_name="accessToken", bearerFormat="JWT", description="from POST /api/v1/sessions", auto_error=False
)


class Authenticator:
    """`current_user`, `require_user` and `require_staff` are FastAPI dependencies."""

    def __init__(
        self,
        settings: GatewaySettings,
        tokens: AccessTokens,
        sessions: SessionService,
        rate_limiter: RateLimiter,
    ) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._rate_limiter = rate_limiter
        self._per_user = RateLimit("user", settings.rate_user)
        self._per_address = RateLimit("anonymous", settings.rate_anonymous)

    async def current_user(self, request: Request) -> Principal | None:
        """None for a guest. Raises ProblemError for an invalid token, RateLimitExceeded,
        UpstreamUnavailable.
        """
        if not hasattr(request.state, "current_user"):
            request.state.current_user = await self._authenticate(request)
        user: Principal | None = request.state.current_user
        return user

    async def require_user(
        self, request: Request, _token: Annotated[Any, Security(_TOKEN)] = None
    ) -> Principal:
        """Raises a 401 for a guest. `_token` only puts the security scheme into the API description."""
        if (user := await self.current_user(request)) is None:
            raise ProblemError("log-in", headers={"WWW-Authenticate": "Bearer"})
        return user

    async def require_staff(self, request: Request) -> Principal:
        """Raises a 404 for other users and guests, as for a path that does not exist."""
        user = await self.current_user(request)
        if user is None or not user.is_staff:
            raise ProblemError("not-found")
        return user

    async def identify(self, request: Request) -> Principal | None:
        """Authenticates without rate limits. Raises NotValid, UpstreamUnavailable, StoreUnavailable."""
        user = await self._sessions.authenticate_session_cookie(request)
        return user or await self._tokens.identify(request.headers.get("authorization", ""))

    async def _authenticate(self, request: Request) -> Principal | None:
        try:
            user = await self.identify(request)
        except NotValid as error:
            await self._hit_address_limit(request)
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise ProblemError(
                "log-in", f"the access token is not valid: {error}", headers=challenge
            ) from None
        if user is None:
            await self._hit_address_limit(request)
        else:
            await self._rate_limiter.hit(request, self._per_user, str(user.user_id))
        return user

    async def _hit_address_limit(self, request: Request) -> None:
        key = rate_limit_key(request_context.current().address)
        await self._rate_limiter.hit(request, self._per_address, key)

"""What the routes of every package need: routers that authenticate, and the user of a request."""

from collections.abc import Mapping
from typing import Any, Protocol

from fastapi import APIRouter
from starlette.requests import Request

from gateway.auth.principal import Principal
from gateway.web.templating import PageDependencies


class AuthDependencies(PageDependencies, Protocol):
    """Fulfilled by gateway.dependencies.GatewayDependencies, as are the protocols of the other packages.

    `current_user` and `require_user` are FastAPI dependencies: `Depends(deps.require_user)`. `identify`
    authenticates the reader of an open stream again. See gateway.auth.authentication.Authenticator.
    """

    def api_router(
        self, tag: str, *, responses: Mapping[int | str, dict[str, Any]] = {}, **how: Any
    ) -> APIRouter: ...

    def page_router(self, prefix: str = "") -> APIRouter: ...

    async def current_user(self, request: Request) -> Principal | None: ...

    async def require_user(self, request: Request) -> Principal: ...

    async def identify(self, request: Request) -> Principal | None: ...

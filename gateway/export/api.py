"""The HTTP API of the export."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from chassis.web.problems import problem_responses
from chassis.web.strict_json import StrictRoute
from gateway.auth.principal import Principal
from gateway.export.data_export import UserDataExport
from gateway.export.dependencies import ExportDependencies
from gateway.http.rate_limit import RateLimit

PER_USER = RateLimit("exports", 6)


def routes(deps: ExportDependencies) -> APIRouter:
    router = deps.api_router(
        "own account",
        prefix="/api/v1/users/me/export",
        route_class=StrictRoute,
        responses=problem_responses(401, 503),
    )

    @router.get("")
    async def export(
        request: Request, response: Response, user: Annotated[Principal, Depends(deps.require_user)]
    ) -> UserDataExport:
        """All data that the shop stores about you. `complete` is false if a service did not respond."""
        await deps.rate_limiter.hit(request, PER_USER, str(user.user_id))
        response.headers["Cache-Control"] = "no-store"
        return await deps.exports.of(user)

    return router

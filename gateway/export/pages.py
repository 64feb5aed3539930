"""The export as a file, for the link on the account page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.auth.page_user import require_login
from gateway.auth.principal import Principal
from gateway.export.api import PER_USER
from gateway.export.dependencies import ExportDependencies


def routes(deps: ExportDependencies) -> APIRouter:
    router = deps.page_router()
    User = Annotated[Principal, Depends(require_login(deps, "/account"))]

    @router.get("/account/export")
    async def download(request: Request, user: User) -> Response:
        """The name of the file says whether a part is missing."""
        await deps.rate_limiter.hit(request, PER_USER, str(user.user_id))
        export = await deps.exports.of(user)
        name = "order-journey-data.json" if export.complete else "order-journey-data-incomplete.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(export.model_dump_json(indent=2), media_type="application/json", headers=headers)

    return router

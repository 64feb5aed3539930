"""The page of the staff's roles: grant or revoke a role by user id. Names and addresses stay in user_svc."""

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from contracts import users
from contracts.roles import Role
from operations.dependencies import OperationsDependencies, current_user_id
from operations.web import forms
from operations.web.forms import StaffForm
from operations.web.templating import PageRenderer

_COMMANDS: dict[str, type[users.GrantRole] | type[users.RevokeRole]] = {
    "grant": users.GrantRole,
    "revoke": users.RevokeRole,
}


def routes(deps: OperationsDependencies, renderer: PageRenderer) -> APIRouter:
    router = APIRouter()

    def show(request: Request, form: StaffForm, status: int = 200) -> Response:
        said = request.query_params.get("said", "")
        return renderer.render_page(request, "people.html", status, form=form, said=said, roles=list(Role))

    @router.get("/ops/people")
    async def people(request: Request) -> Response:
        return show(request, StaffForm())

    @router.post("/ops/people")
    async def change(request: Request) -> Response:
        """user_svc decides. A repeated request has no further effect."""
        form = await forms.read_form(request)
        contract = _COMMANDS.get(form["what"], users.GrantRole)
        try:
            command = contract.model_validate({"user_id": form["user_id"], "role": form["role"]})
        except ValidationError as error:
            form.refuse(error)
            return show(request, form, 422)
        if (
            contract is users.RevokeRole
            and command.user_id == current_user_id(request)
            and command.role is Role.STAFF
        ):
            form.errors["user_id"] = (
                "This is your own account. Ask a colleague to do it, so that at least one staff member "
                "remains."
            )
            return show(request, form, 422)
        if not await deps.send_command(request, form, command):
            return show(request, form, 503)
        return RedirectResponse("/ops/people?said=sent", 303)

    return router

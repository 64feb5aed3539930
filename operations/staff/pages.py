"""The page of the staff's roles: grant or revoke a role by user id. Names and addresses stay in user_svc."""

from collections.abc import Iterable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from contracts import users
from contracts.roles import Role
from operations.access import current_user_id
from operations.web import forms
from operations.web.forms import StaffForm
from operations.web.staff_pages import StaffPages, get, post

_COMMANDS: dict[str, type[users.GrantRole] | type[users.RevokeRole]] = {
    "grant": users.GrantRole,
    "revoke": users.RevokeRole,
}


class RolePages(StaffPages):
    def routes(self) -> Iterable[APIRoute]:
        return get("/ops/people", self.people), post("/ops/people", self.change)

    async def people(self, request: Request) -> Response:
        return self._show(request, StaffForm())

    async def change(self, request: Request) -> Response:
        """user_svc decides. A repeated request has no further effect."""
        form = await forms.read_form(request)
        contract = _COMMANDS.get(form["what"], users.GrantRole)
        try:
            command = contract.model_validate({"user_id": form["user_id"], "role": form["role"]})
        except ValidationError as error:
            form.refuse(error)
            return self._show(request, form, 422)
        if (
            contract is users.RevokeRole
            and command.user_id == current_user_id(request)
            and command.role is Role.STAFF
        ):
            form.errors["user_id"] = (
                "This is your own account. Ask a colleague to do it, so that at least one staff member "
                "remains."
            )
            return self._show(request, form, 422)
        if not await self._send(request, form, command):
            return self._show(request, form, 503)
        return RedirectResponse("/ops/people?said=sent", 303)

    def _show(self, request: Request, form: StaffForm, status: int = 200) -> Response:
        said = request.query_params.get("said", "")
        return self._render(request, "people.html", status, form=form, said=said, roles=list(Role))

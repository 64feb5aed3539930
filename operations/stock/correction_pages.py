"""The pages that correct the stock of an article: a form, and the result of a correction."""

from collections.abc import Iterable
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from chassis.messaging.identity import new_id
from chassis.web.http_client import UpstreamUnavailable
from contracts import inventory
from contracts.http.inventory import CorrectionView
from contracts.inventory import CorrectionReason
from contracts.values import Id
from operations.web import forms
from operations.web.forms import StaffForm
from operations.web.staff_pages import StaffPages, get, post, wait_briefly

PATH = "/ops/stock/corrections"


class CorrectionPages(StaffPages):
    def routes(self) -> Iterable[APIRoute]:
        return (
            get(PATH, self.show_form),
            post(PATH, self.correct),
            get(f"{PATH}/{{correction_id}}", self.show_result),
        )

    async def show_form(self, request: Request, sku: str = "") -> Response:
        return self._form(request, StaffForm({"sku": sku.upper()[:32]}))

    async def correct(self, request: Request) -> Response:
        """The correction's id is created with the form, so that a form sent twice counts once."""
        form = await forms.read_form(request)
        command = _command(form)
        if command is None:
            return self._form(request, form, 422)
        if not await self._send(request, form, command):
            return self._form(request, form, 503)

        async def is_decided() -> bool:
            return await self._correction(str(command.correction_id)) is not None

        await wait_briefly(is_decided)
        return RedirectResponse(f"{PATH}/{command.correction_id}", 303)

    async def show_result(self, request: Request, correction_id: Id) -> Response:
        try:
            correction = await self._correction(str(correction_id))
        except UpstreamUnavailable:
            raise HTTPException(503, "inventory_svc does not respond, so the result is unknown.") from None
        return self._render(request, "correction.html", correction=correction, correction_id=correction_id)

    def _form(self, request: Request, form: StaffForm, status: int = 200) -> Response:
        return self._render(
            request,
            "new_correction.html",
            status,
            form=form,
            correction_id=form["correction_id"] or str(new_id()),
            reasons=list(CorrectionReason),
        )

    async def _correction(self, correction_id: str) -> dict[str, Any] | None:
        """None if inventory_svc has not handled it. Raises UpstreamUnavailable."""
        return await self._fetch("inventory_svc", f"/corrections/{correction_id}", CorrectionView)


def _command(form: StaffForm) -> inventory.CorrectStock | None:
    """None, with errors in the form, if the input is not valid."""
    change = form.signed_number("change")
    try:
        command = inventory.CorrectStock.model_validate(
            {
                "correction_id": form["correction_id"] or str(new_id()),
                "sku": form["sku"].upper(),
                "change": 1 if change is None else change,
                "reason": form["reason"],
            }
        )
    except ValidationError as error:
        form.refuse(error)
        return None
    return None if form.is_wrong else command

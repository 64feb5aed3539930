"""The form of the fault switches. Its route exists only where faults are allowed."""

from collections.abc import Iterable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from chassis.fault_switches import DURATION_S_MAX
from operations.monitoring.fault_panel import FaultNotSwitched, FaultPanel
from operations.web.forms import read_form
from operations.web.staff_pages import PageTools, StaffPages, post

FAULT = "fault"  # the action in the audit log
_ON, _OFF = "on", "off"


class FaultPages(StaffPages):
    def __init__(self, tools: PageTools, *, panel: FaultPanel) -> None:
        super().__init__(tools)
        self._panel = panel

    def routes(self) -> Iterable[APIRoute]:
        return (post("/ops/faults", self.switch),)

    async def switch(self, request: Request) -> Response:
        """Write who does it to the audit log, then turn the fault on or off."""
        form = await read_form(request)
        fault = self._panel.find(form["service"], form["fault"])
        if fault is None or form["what"] not in (_ON, _OFF):
            raise HTTPException(422, "There is no such fault switch. Reload the start page and try again.")
        reason = f"on for {DURATION_S_MAX / 60:.0f} min" if form["what"] == _ON else _OFF
        await self._record(
            request, FAULT, type=fault.name, service=fault.service, reason=reason, undone="Not switched"
        )
        try:
            await self._panel.switch(fault, form["what"] == _ON)
        except FaultNotSwitched as error:
            raise HTTPException(503, f"{error}. The fault may be on in some of its processes.") from None
        return RedirectResponse("/ops#faults", 303)

"""The pages of the stock: shelves, receipts, and the picking list."""

import asyncio
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.responses import RedirectResponse

from chassis.messaging.identity import new_id
from chassis.web.http_client import UpstreamUnavailable
from contracts import inventory
from contracts.http.inventory import ReservationPage, ShelfPage, ShelfView
from operations import service_responses
from operations.dependencies import OperationsDependencies, wait_briefly
from operations.web import forms
from operations.web.forms import StaffForm
from operations.web.templating import PageRenderer

_ON_A_PAGE = 50


def routes(deps: OperationsDependencies, renderer: PageRenderer) -> APIRouter:
    router = APIRouter()
    pages = _Pages(deps, renderer)
    router.add_api_route("/ops/stock", pages.stock, methods=["GET"])
    router.add_api_route("/ops/stock/receipts", pages.receive, methods=["POST"])
    return router


class _Pages:
    def __init__(self, deps: OperationsDependencies, renderer: PageRenderer) -> None:
        self._deps = deps
        self._renderer = renderer
        self._inventory = deps.services["inventory_svc"]

    async def stock(self, request: Request, after: str = "", pick: str = "") -> Response:
        return await self._show(request, StaffForm(), after=after, pick=pick)

    async def receive(self, request: Request) -> Response:
        """Record received goods.

        The receipt id is created with the form, so that a form sent twice counts once.
        """
        form = await forms.read_form(request)
        sku, quantity = form["sku"].upper(), form.whole_number("quantity")
        try:
            command = inventory.ReceiveStock.model_validate(
                {
                    "receipt_id": form["receipt_id"] or str(new_id()),
                    "sku": sku,
                    "quantity": 1 if quantity is None else quantity,
                }
            )
        except ValidationError as error:
            form.refuse(error)
        if form.is_wrong:
            return await self._show(request, form, status=422)
        before = await self._received(sku)
        if not await self._deps.send_command(request, form, command):
            return await self._show(request, form, status=503)

        async def is_counted() -> bool:
            return before is not None and (await self._received(sku) or 0) > before

        queue_stats = "yes" if await wait_briefly(is_counted) else "no"
        query = {"received": sku, "quantity": str(quantity), "counted": queue_stats}
        return RedirectResponse(f"/ops/stock?{urlencode(query)}", 303)

    async def _show(
        self, request: Request, form: StaffForm, *, after: str = "", pick: str = "", status: int = 200
    ) -> Response:
        shelves, picking = await asyncio.gather(
            self._page("/stock", ShelfPage, {"after": after}),
            self._page("/reservations", ReservationPage, {"status": "committed", "after": pick}),
        )
        return self._renderer.render_page(
            request,
            "stock.html",
            status,
            shelves=shelves,
            picking=picking,
            form=form,
            receipt_id=form["receipt_id"] or str(new_id()),
            query=request.query_params,
        )

    async def _page(self, path: str, kind: type[BaseModel], query: dict[str, str]) -> dict[str, Any] | None:
        """None if inventory_svc does not respond."""
        given = {name: value for name, value in query.items() if value}
        try:
            response = await self._inventory.get(path, params={"limit": str(_ON_A_PAGE), **given})
            return (
                service_responses.parse_response(response, kind, "inventory_svc")
                if response.is_success
                else None
            )
        except UpstreamUnavailable:
            return None

    async def _received(self, sku: str) -> int | None:
        try:
            response = await self._inventory.get(f"/stock/{sku}")
            return (
                int(service_responses.parse_response(response, ShelfView, "inventory_svc")["received"])
                if response.is_success
                else 0
            )
        except UpstreamUnavailable:
            return None

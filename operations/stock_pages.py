"""Stock: the shelves, goods that come in, and the picking list with what may leave."""

import asyncio
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.responses import RedirectResponse

from contracts import inventory
from contracts.identity import new_id
from gateway.upstream import Away
from inventory_svc.api import ReservationPage, ShelfPage, ShelfView
from operations import answers, forms
from operations.desk import Desk, soon
from operations.forms import Form
from operations.showing import Showing

_ON_A_PAGE = 50


def routes(desk: Desk, showing: Showing) -> APIRouter:
    router = APIRouter()
    pages = _Pages(desk, showing)
    router.add_api_route("/ops/stock", pages.stock, methods=["GET"])
    router.add_api_route("/ops/stock/receipts", pages.receive, methods=["POST"])
    return router


class _Pages:
    def __init__(self, desk: Desk, showing: Showing) -> None:
        self._desk, self._showing = desk, showing
        self._inventory = desk.services["inventory_svc"]

    async def stock(self, request: Request, after: str = "", pick: str = "") -> Response:
        return await self._show(request, Form(), after=after, pick=pick)

    async def receive(self, request: Request) -> Response:
        """Goods came in. The receipt's id is born with the form, so that a form sent twice counts once."""
        form = await forms.read(request)
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
        if not await self._desk.give(request, form, command):
            return await self._show(request, form, status=503)

        async def is_counted() -> bool:
            return before is not None and (await self._received(sku) or 0) > before

        counted = "yes" if await soon(is_counted) else "no"
        query = {"received": sku, "quantity": str(quantity), "counted": counted}
        return RedirectResponse(f"/ops/stock?{urlencode(query)}", 303)

    async def _show(
        self, request: Request, form: Form, *, after: str = "", pick: str = "", status: int = 200
    ) -> Response:
        shelves, picking = await asyncio.gather(
            self._page("/stock", ShelfPage, {"after": after}),
            self._page("/reservations", ReservationPage, {"status": "committed", "after": pick}),
        )
        return self._showing.page(
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
        """None if inventory_svc does not answer."""
        given = {name: value for name, value in query.items() if value}
        try:
            answer = await self._inventory.get(path, params={"limit": str(_ON_A_PAGE), **given})
            return answers.read(answer, kind, "inventory_svc") if answer.is_success else None
        except Away:
            return None

    async def _received(self, sku: str) -> int | None:
        try:
            answer = await self._inventory.get(f"/stock/{sku}")
            return int(answers.read(answer, ShelfView, "inventory_svc")["received"]) if answer.is_success else 0
        except Away:
            return None

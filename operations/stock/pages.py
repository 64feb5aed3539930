"""The page of the stock: shelves, those with few pieces, receipts, and the picking list."""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.responses import RedirectResponse

from chassis.messaging.identity import new_id
from chassis.web.http_client import UpstreamUnavailable
from contracts import inventory
from contracts.http.inventory import USUAL_LOW_STOCK, ReservationPage, ShelfPage, ShelfView
from operations.orders.delivery import DeliveryReader
from operations.web import forms
from operations.web.forms import StaffForm
from operations.web.staff_pages import PageTools, StaffPages, get, post, wait_briefly

_ON_A_PAGE = 50


class StockPages(StaffPages):
    def __init__(self, tools: PageTools, *, deliveries: DeliveryReader) -> None:
        super().__init__(tools)
        self._deliveries = deliveries

    def routes(self) -> Iterable[APIRoute]:
        return get("/ops/stock", self.stock), post("/ops/stock/receipts", self.receive)

    async def stock(self, request: Request, after: str = "", pick: str = "", low: str = "") -> Response:
        return await self._show(request, StaffForm(), after=after, pick=pick, low=low)

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
        if not await self._send(request, form, command):
            return await self._show(request, form, status=503)

        async def is_counted() -> bool:
            return before is not None and (await self._received(sku) or 0) > before

        queue_stats = "yes" if await wait_briefly(is_counted) else "no"
        query = {"received": sku, "quantity": str(quantity), "counted": queue_stats}
        return RedirectResponse(f"/ops/stock?{urlencode(query)}", 303)

    async def _show(
        self,
        request: Request,
        form: StaffForm,
        *,
        after: str = "",
        pick: str = "",
        low: str = "",
        status: int = 200,
    ) -> Response:
        """`after`, `pick`, `low`: where the lists of shelves, of picks and of low stock begin."""
        shelves, low_stock, picking = await asyncio.gather(
            self._page("/stock", ShelfPage, {"after": after}),
            self._page("/stock", ShelfPage, {"low": "true", "after": low}),
            self._page("/reservations", ReservationPage, {"status": "committed", "after": pick}),
        )
        picked = [pick["order_id"] for pick in (picking or {}).get("items", [])]
        return self._render(
            request,
            "stock.html",
            status,
            deliveries=await self._deliveries.load(request, picked),
            shelves=shelves,
            low_stock=low_stock,
            low_max=(low_stock or {}).get("low_stock", USUAL_LOW_STOCK),
            picking=picking,
            form=form,
            receipt_id=form["receipt_id"] or str(new_id()),
            query=request.query_params,
        )

    async def _page(self, path: str, kind: type[BaseModel], query: dict[str, str]) -> dict[str, Any] | None:
        """None if inventory_svc does not respond."""
        try:
            return await self._fetch("inventory_svc", path, kind, limit=str(_ON_A_PAGE), **query)
        except UpstreamUnavailable:
            return None

    async def _received(self, sku: str) -> int | None:
        """How many were received so far; None if inventory_svc does not respond."""
        try:
            shelf = await self._fetch("inventory_svc", f"/stock/{sku}", ShelfView)
        except UpstreamUnavailable:
            return None
        return int(shelf["received"]) if shelf else 0

"""The pages that list orders: a search form with its results, and their export as CSV."""

from collections.abc import Iterable
from urllib.parse import urlencode

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, StreamingResponse

from chassis.backoff import Backoff
from chassis.web.http_client import UpstreamUnavailable
from contracts.http.orders import OrderSearchPage
from journey.admin.order_csv import MEDIA_TYPE, PAGE, csv_of
from operations.orders.order_filter import STATUSES, OrderFilter
from operations.web.forms import read_form
from operations.web.staff_pages import StaffPages, get, post

EXPORT = "export"  # the action in the audit log
_ON_A_PAGE = 20
_PAUSE_S, _PAUSE_S_MAX = 0.5, 5.0


class OrderListPages(StaffPages):
    def routes(self) -> Iterable[APIRoute]:
        return get("/ops/orders", self.search), post("/ops/orders/export", self.export)

    async def search(self, request: Request, after: str = "") -> Response:
        """Opens an order whose whole id is given, or whose number is the only thing given and is unique."""
        wanted = OrderFilter(request.query_params)
        if wanted.order_id is not None:
            return RedirectResponse(f"/ops/orders/{wanted.order_id}", 303)
        if wanted.form.is_wrong:
            return self._show(request, wanted, None, status=422)
        try:
            page = await self._fetch_page(wanted, after[:100], _ON_A_PAGE)
        except UpstreamUnavailable:
            return self._show(request, wanted, None)
        if list(wanted.given) == ["q"] and len(page.items) == 1 and page.complete:
            return RedirectResponse(f"/ops/orders/{page.items[0].order_id}", 303)
        return self._show(request, wanted, page)

    async def export(self, request: Request) -> Response:
        """Writes who exports what to the audit log, then streams the orders.

        An incomplete list is not exported.
        """
        wanted = OrderFilter((await read_form(request)).given)
        if wanted.form.is_wrong:
            return self._show(request, wanted, None, status=422)
        first = await self._fetch_page(wanted, "", PAGE)
        if not first.complete:
            raise HTTPException(
                503,
                "Nothing was exported: orders that an earlier version stored are still prepared. "
                "Try again in a minute.",
                {"Retry-After": "60"},
            )
        await self._record(
            request,
            EXPORT,
            type="orders",
            service="order_svc",
            reason=wanted.description,
            undone="Not exported",
        )

        async def fetch_page(after: str) -> OrderSearchPage:
            return await self._fetch_page(wanted, after, PAGE)

        name = f"orders-{self._tools.clock():%Y%m%dT%H%M%SZ}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        rows = csv_of(first, fetch_page, Backoff(_PAUSE_S, _PAUSE_S_MAX))
        return StreamingResponse(rows, media_type=MEDIA_TYPE, headers=headers)

    def _show(
        self,
        request: Request,
        wanted: OrderFilter,
        page: OrderSearchPage | None,
        status: int = 200,
    ) -> Response:
        """`page`: None if order_svc does not respond, or was not asked because the form is wrong."""
        return self._render(
            request,
            "orders.html",
            status,
            form=wanted.form,
            given=wanted.given,
            query=urlencode(wanted.given),
            page=page,
            statuses=STATUSES,
        )

    async def _fetch_page(self, wanted: OrderFilter, after: str, limit: int) -> OrderSearchPage:
        """Raises UpstreamUnavailable, also for an order_svc of an earlier version, which has no search."""
        query = {**wanted.query, "after": after, "limit": str(limit)}
        found = await self._fetch("order_svc", "/orders/search", OrderSearchPage, **query)
        if found is None:
            raise UpstreamUnavailable("order_svc")
        return OrderSearchPage.model_validate(found)

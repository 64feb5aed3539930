"""The pages of orders: recent orders, stuck orders, and the timeline of one order."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from chassis.web.http_client import UpstreamUnavailable
from contracts import orders
from contracts.http.orders import OrderPage, OrderStatus
from contracts.values import Id
from journey.admin.diagnosis.explain import Explanation, explain_under
from operations import service_responses
from operations.access import current_user_id
from operations.broker import CommandNotSent
from operations.orders import timeline
from operations.orders.stuck_orders import AGES, USUAL_AGE, PendingReason, StuckOrders
from operations.web.staff_pages import PageTools, StaffPages, get, post

_ON_A_PAGE = 20
_STATUSES = tuple(status.value for status in OrderStatus if status is not OrderStatus.NEW)


class OrderPages(StaffPages):
    def __init__(self, tools: PageTools, *, stuck_orders: StuckOrders) -> None:
        super().__init__(tools)
        self._stuck_orders = stuck_orders

    def routes(self) -> Iterable[APIRoute]:
        return (
            get("/ops/stuck", self.stuck),
            get("/ops/orders", self.recent),
            get("/ops/orders/{order_id}", self.one),
            post("/ops/orders/{order_id}/dispatch", self.dispatch),
        )

    async def stuck(self, request: Request, age: str = USUAL_AGE) -> Response:
        age = age if age in AGES else USUAL_AGE
        found = await self._stuck_orders.find(age)
        return self._render(request, "stuck.html", found=found, ages=AGES, age=age)

    async def recent(self, request: Request, q: str = "", status: str = "", after: str = "") -> Response:
        """Opens an order by id; otherwise lists the newest first, as order_svc returns them."""
        wanted, wrong = q.strip(), ""
        if wanted:
            if (id_ := _uuid(wanted)) is not None:
                return RedirectResponse(f"/ops/orders/{id_}", 303)
            wrong = "Enter the whole id, e.g. 0198c0de-…; it is in every mail about the order."
        status = status if status in _STATUSES else ""
        page, away = await self._page_of_orders(status, after)
        return self._render(
            request,
            "orders.html",
            422 if wrong else 200,
            items=page["items"],
            next=page["next"],
            away=away,
            q=wanted,
            wrong=wrong,
            status=status,
            statuses=_STATUSES,
        )

    async def one(
        self, request: Request, order_id: Id, begin: int = 1, message: str = "", said: str = ""
    ) -> Response:
        explanation = await self._explained(order_id)
        messages = timeline.build_timeline(
            explanation.trail, [pending for pending, _ in explanation.awaited], explanation.dead_letters
        )
        if not messages and not explanation.order:
            raise HTTPException(404, f"{explanation.verdict[0].upper()}{explanation.verdict[1:]}.")
        return self._render(
            request,
            "order.html",
            explanation=explanation,
            page=timeline.timeline_page(messages, begin, message),
            waits=[
                PendingReason.of(pending, where, explanation.snapshot)
                for pending, where in explanation.awaited
            ],
            numbers={each.id: each.number for each in messages},
            chosen=message,
            said=said,
            may_dispatch=explanation.status == OrderStatus.CONFIRMED,
        )

    async def dispatch(self, request: Request, order_id: Id) -> Response:
        """order_svc decides. A repeated request is safe."""
        try:
            command = orders.DispatchOrder(order_id=order_id)
            await self._tools.broker.send_command(command, str(current_user_id(request)))
        except CommandNotSent as error:
            raise HTTPException(503, f"The command was not sent: {error}") from None
        form = await request.form()
        if form.get("back") == "stock":
            return RedirectResponse(f"/ops/stock?{urlencode({'dispatched': str(order_id)})}#picking", 303)
        return RedirectResponse(f"/ops/orders/{order_id}?said=dispatch", 303)

    async def _explained(self, order_id: UUID) -> Explanation:
        return await explain_under(await self._stuck_orders.circumstances(), self._tools.http, str(order_id))

    async def _page_of_orders(self, status: str, after: str) -> tuple[dict[str, Any], str]:
        """A page of orders, and the reason if there is none."""
        query = {"limit": str(_ON_A_PAGE), **({"status": status} if status else {})}
        if (last := _uuid(after)) is not None:
            query["after"] = str(last)
        nothing: dict[str, Any] = {"items": [], "next": None}
        try:
            response = await self._tools.services["order_svc"].get("/orders", params=query)
            if response.is_success:
                return service_responses.parse_response(response, OrderPage, "order_svc"), ""
        except UpstreamUnavailable:
            return (
                nothing,
                "order_svc does not respond, so its orders cannot be listed. You can still open an order "
                "by its id.",
            )
        return nothing, f"order_svc responded with {response.status_code}."


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

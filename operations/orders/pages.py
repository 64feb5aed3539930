"""The pages of orders: stuck orders, and the timeline of one order."""

from collections.abc import Iterable
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from chassis.messaging.message import Command
from contracts import orders
from contracts.http.orders import GIVE_BACK_OUTSIDE, OrderStatus
from contracts.values import Id
from journey.admin.diagnosis.explain import Explanation, explain_under
from journey.admin.diagnosis.timeline import build_timeline
from journey.admin.diagnosis.waterfall import Waterfall, build_waterfall
from operations.orders.delivery import DeliveryReader
from operations.orders.diagrams import OrderDiagrams
from operations.orders.stuck_orders import AGES, USUAL_AGE, PendingReason, StuckOrders
from operations.orders.timeline_page import TimelinePage, timeline_page
from operations.web.forms import StaffForm, read_form
from operations.web.staff_pages import PageTools, StaffPages, get, post

_TRACKING_HINT = "Nothing was sent. A tracking reference has 4 to 40 letters, digits and dashes."


def _tracking(order_id: UUID, form: StaffForm) -> orders.RecordTracking:
    """Carriers print references in groups, so blanks and lower-case letters are accepted."""
    tracking = "".join(form["tracking"].split()).upper()
    try:
        return orders.RecordTracking(order_id=order_id, tracking=tracking)
    except ValidationError:
        raise HTTPException(422, _TRACKING_HINT) from None


class OrderPages(StaffPages):
    def __init__(self, tools: PageTools, *, stuck_orders: StuckOrders, deliveries: DeliveryReader) -> None:
        super().__init__(tools)
        self._stuck_orders = stuck_orders
        self._deliveries = deliveries

    def routes(self) -> Iterable[APIRoute]:
        return (
            get("/ops/stuck", self.stuck),
            get("/ops/orders/{order_id}", self.one),
            post("/ops/orders/{order_id}/dispatch", self.dispatch),
            post("/ops/orders/{order_id}/tracking", self.track),
        )

    async def stuck(self, request: Request, age: str = USUAL_AGE) -> Response:
        age = age if age in AGES else USUAL_AGE
        found = await self._stuck_orders.find(age)
        return self._render(request, "stuck.html", found=found, ages=AGES, age=age)

    async def one(
        self, request: Request, order_id: Id, begin: int = 1, message: str = "", said: str = ""
    ) -> Response:
        explanation = await self._explained(order_id)
        messages = build_timeline(
            explanation.history, [pending for pending, _ in explanation.awaited], explanation.dead_letters
        )
        if not messages and not explanation.order:
            raise HTTPException(404, f"{explanation.verdict[0].upper()}{explanation.verdict[1:]}.")
        page = timeline_page(messages, begin, message)
        whole = build_waterfall(messages, explanation.history.silent, now=explanation.at)
        return self._render(
            request,
            "order.html",
            explanation=explanation,
            page=page,
            diagrams=OrderDiagrams(_shown(whole, page)),
            waits=[
                PendingReason.of(pending, where, explanation.snapshot)
                for pending, where in explanation.awaited
            ],
            numbers={each.id: each.number for each in messages},
            chosen=message,
            said=said,
            give_back_outside=GIVE_BACK_OUTSIDE,
            deliveries=await self._deliveries.load(request, [order_id]),
            may_dispatch=explanation.status == OrderStatus.CONFIRMED,
            is_dispatched=explanation.status == OrderStatus.DISPATCHED,
        )

    async def dispatch(self, request: Request, order_id: Id) -> Response:
        """order_svc decides. A repeated request is safe. A tracking reference is optional."""
        form = await read_form(request)
        commands: list[Command] = [orders.DispatchOrder(order_id=order_id)]
        if form["tracking"]:
            # before the dispatch, so that the mail about the dispatch contains the reference
            commands.insert(0, _tracking(order_id, form))
        await self._send_all(request, *commands)
        if form["back"] == "stock":
            return RedirectResponse(f"/ops/stock?{urlencode({'dispatched': str(order_id)})}#picking", 303)
        return RedirectResponse(f"/ops/orders/{order_id}?said=dispatch", 303)

    async def track(self, request: Request, order_id: Id) -> Response:
        """Note the tracking reference of a dispatched order; a later one replaces it."""
        command = _tracking(order_id, await read_form(request))
        await self._send_all(request, command)
        return RedirectResponse(f"/ops/orders/{order_id}?said=tracking", 303)

    async def _explained(self, order_id: UUID) -> Explanation:
        return await explain_under(await self._stuck_orders.circumstances(), self._tools.http, str(order_id))


def _shown(whole: Waterfall, page: TimelinePage) -> Waterfall:
    """Of the messages on the page only: an order may have thousands."""
    if not page.rows:
        return whole
    return whole.part(page.rows[0].message.number, page.rows[-1].message.number)

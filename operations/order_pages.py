"""Orders: the recent ones, those that wait for too long, and all messages of one."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from contracts import orders
from contracts.values import Id
from gateway.upstream import Away
from journey.explain import Explanation, explain_under
from operations import answers, story
from operations.broker import NotGiven
from operations.desk import Desk, who
from operations.showing import Showing
from operations.waiting import AGES, USUAL_AGE, Wait
from order_svc.api import OrderPage
from order_svc.order import Status

_ON_A_PAGE = 20
_STATUSES = tuple(status.value for status in Status if status is not Status.NEW)


def routes(desk: Desk, showing: Showing) -> APIRouter:
    router = APIRouter()
    pages = _Pages(desk, showing)
    router.add_api_route("/ops/stuck", pages.stuck, methods=["GET"])
    router.add_api_route("/ops/orders", pages.recent, methods=["GET"])
    router.add_api_route("/ops/orders/{order_id}", pages.one, methods=["GET"])
    router.add_api_route("/ops/orders/{order_id}/dispatch", pages.dispatch, methods=["POST"])
    return router


class _Pages:
    def __init__(self, desk: Desk, showing: Showing) -> None:
        self._desk, self._showing = desk, showing

    async def stuck(self, request: Request, age: str = USUAL_AGE) -> Response:
        age = age if age in AGES else USUAL_AGE
        found = await self._desk.waiting.find(age)
        return self._showing.page(request, "stuck.html", found=found, ages=AGES, age=age)

    async def recent(self, request: Request, q: str = "", status: str = "", after: str = "") -> Response:
        """By id at once; otherwise the newest first, as order_svc has them."""
        wanted, wrong = q.strip(), ""
        if wanted:
            if (id_ := _uuid(wanted)) is not None:
                return RedirectResponse(f"/ops/orders/{id_}", 303)
            wrong = "Write the whole id, as 0198c0de-…; it is in every mail about the order."
        status = status if status in _STATUSES else ""
        page, away = await self._page_of_orders(status, after)
        return self._showing.page(
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

    async def one(self, request: Request, order_id: Id, begin: int = 1, message: str = "", said: str = "") -> Response:
        told = await self._explained(order_id)
        sayings = story.told(told.trail, [each for each, _ in told.awaited], told.letters)
        if not sayings and not told.order:
            raise HTTPException(404, f"{told.verdict[0].upper()}{told.verdict[1:]}.")
        return self._showing.page(
            request,
            "order.html",
            told=told,
            page=story.page_of(sayings, begin, message),
            waits=[Wait.of(each, where, told.circumstances) for each, where in told.awaited],
            numbers={saying.id: saying.number for saying in sayings},
            chosen=message,
            said=said,
            may_dispatch=told.status == Status.CONFIRMED,
        )

    async def dispatch(self, request: Request, order_id: Id) -> Response:
        """order_svc decides; it may be asked twice."""
        try:
            await self._desk.broker.give(orders.DispatchOrder(order_id=order_id), str(who(request)))
        except NotGiven as error:
            raise HTTPException(503, f"The order was not given: {error}") from None
        form = await request.form()
        if form.get("back") == "stock":
            return RedirectResponse(f"/ops/stock?{urlencode({'dispatched': str(order_id)})}#picking", 303)
        return RedirectResponse(f"/ops/orders/{order_id}?said=dispatch", 303)

    async def _explained(self, order_id: UUID) -> Explanation:
        return await explain_under(await self._desk.waiting.now(), self._desk.http, str(order_id))

    async def _page_of_orders(self, status: str, after: str) -> tuple[dict[str, Any], str]:
        """A page, and why there is none."""
        query = {"limit": str(_ON_A_PAGE), **({"status": status} if status else {})}
        if (last := _uuid(after)) is not None:
            query["after"] = str(last)
        nothing: dict[str, Any] = {"items": [], "next": None}
        try:
            answer = await self._desk.services["order_svc"].get("/orders", params=query)
            if answer.is_success:
                return answers.read(answer, OrderPage, "order_svc"), ""
        except Away:
            return nothing, "order_svc does not answer, so its orders cannot be listed. One order opens by its id."
        return nothing, f"order_svc answered {answer.status_code}."


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

"""The payments that need staff, and what staff decide about a payment, also the refund of a part."""

from collections.abc import Iterable
from uuid import UUID

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from chassis.web.http_client import UpstreamUnavailable
from contracts import orders, payments
from contracts.http.orders import OrderStatus, OrderView
from contracts.http.payments import PaymentPage, PaymentView
from contracts.payments import SettlementReason
from contracts.values import Id
from operations.access import current_user_id
from operations.orders.refund_form import (
    PREFIXES,
    entered_amount,
    names_goods,
    refund_amount,
    refundable,
    refundable_items,
    returned_lines,
)
from operations.web.forms import StaffForm, read_form
from operations.web.staff_pages import StaffPages, get, post

_ON_A_PAGE = 20
REASONS = {
    SettlementReason.PAID: "The customer paid another way",
    SettlementReason.WRITTEN_OFF: "The shop gives up the amount",
    SettlementReason.RETURNED: "The customer has the amount back",
    SettlementReason.RELEASED: "No money moved, and none is held",
}


class AttentionPages(StaffPages):
    def routes(self) -> Iterable[APIRoute]:
        path = "/ops/orders/{order_id}/payment"
        return (
            get("/ops/payments", self.list_),
            get(path, self.show),
            post(f"{path}/retry", self.retry),
            post(f"{path}/settle", self.settle),
            post(f"{path}/refunds", self.refund),
            post("/ops/orders/{order_id}/cancel", self.cancel),
        )

    async def list_(self, request: Request, after: Id | None = None) -> Response:
        """The payments that need staff, those of the orders placed first first: they wait longest."""
        query = {"needs_staff": "true", "oldest_first": "true", "limit": str(_ON_A_PAGE)}
        found = await self._fetch("payment_svc", "/payments", PaymentPage, after=str(after or ""), **query)
        if found is None:
            raise UpstreamUnavailable("payment_svc")
        page = PaymentPage.model_validate(found)
        # payment_svc of an earlier release ignores `needs_staff` and returns all payments
        payments_ = [payment for payment in page.items if payment.needs_staff]
        return self._render(request, "payments.html", payments=payments_, next=page.next, after=after)

    async def show(self, request: Request, order_id: Id) -> Response:
        return await self._show(request, order_id, StaffForm())

    async def retry(self, request: Request, order_id: Id) -> Response:
        """payment_svc decides. The request is repeated at most once for each failure."""
        await self._known_payment(order_id)
        command = payments.RetryPayment(order_id=order_id, staff_id=_staff_id(request))
        return await self._sent(request, order_id, command, said="retry")

    async def cancel(self, request: Request, order_id: Id) -> Response:
        """order_svc decides: only an order that needs attention, and has not been dispatched."""
        command = orders.CancelAsStaff(order_id=order_id, staff_id=_staff_id(request))
        return await self._sent(request, order_id, command, said="cancel")

    async def settle(self, request: Request, order_id: Id) -> Response:
        form = await read_form(request)
        payment = await self._known_payment(order_id)
        command = _settlement(form, payment, _staff_id(request))
        if command is None:
            return await self._show(request, order_id, form, 422)
        if not await self._send(request, form, command):
            return await self._show(request, order_id, form, 503)
        return RedirectResponse(f"/ops/orders/{order_id}?said=settle", 303)

    async def refund(self, request: Request, order_id: Id) -> Response:
        """The refund's id is created with the form, so that a form sent twice counts once.

        A form that may have been sent is shown again with its id.
        """
        form = await read_form(request)
        payment = await self._known_payment(order_id)
        order = await self._order(order_id)
        if order is None and names_goods(form):
            raise HTTPException(503, "Nothing was sent: order_svc does not respond; try again in a moment.")
        if order and form["refund_id"] in {str(refund.refund_id) for refund in order.refunds}:
            return RedirectResponse(f"/ops/orders/{order_id}?said=refund", 303)  # the form was sent twice
        returned = returned_lines(form, order, self._tools.clock()) if order else ()
        amount = refund_amount(form, payment, order, returned)
        refund_id = form["refund_id"] or str(new_id())
        if form.is_wrong:
            return await self._show(request, order_id, form, 422)
        try:
            command = orders.RefundOrder.model_validate(
                {
                    "order_id": order_id,
                    "refund_id": refund_id,
                    "staff_id": _staff_id(request),
                    "amount": amount,
                    "returned": returned,
                }
            )
        except ValidationError:
            raise HTTPException(422, "Nothing was sent. Open the page of the payment again.") from None
        if not await self._send(request, form, command):
            return await self._show(request, order_id, form.with_value("refund_id", refund_id), 503)
        return RedirectResponse(f"/ops/orders/{order_id}?said=refund", 303)

    async def _sent(self, request: Request, order_id: UUID, command: Command, *, said: str) -> Response:
        await self._send_all(request, command)
        return RedirectResponse(f"/ops/orders/{order_id}?said={said}", 303)

    async def _show(self, request: Request, order_id: UUID, form: StaffForm, status: int = 200) -> Response:
        payment = await self._known_payment(order_id)
        left = refundable(payment)
        order = await self._order(order_id) if left or payment.settled_outside else None
        is_late = order is not None and order.return_window_ended(self._tools.clock())
        return self._render(
            request,
            "payment.html",
            status,
            order_id=str(order_id),
            payment=payment,
            unresolved=payment.unresolved,
            release_unclear=payment.release_unclear,
            form=form,
            reasons=REASONS,
            refund_id=form["refund_id"] or str(new_id()),
            refundable=left,
            items=refundable_items(order)
            if order and order.status is OrderStatus.DISPATCHED and not is_late
            else (),
            returnable_until=order.returnable_until if order else None,
            is_late=is_late,
            is_silent=order is None,
            prefixes=PREFIXES,
        )

    async def _order(self, order_id: UUID) -> OrderView | None:
        """None if order_svc does not know it, or does not respond: an amount can be refunded all the same."""
        try:
            found = await self._fetch("order_svc", f"/orders/{order_id}", OrderView)
        except UpstreamUnavailable:
            return None
        return OrderView.model_validate(found) if found else None

    async def _known_payment(self, order_id: UUID) -> PaymentView:
        """Raises HTTPException if there is none, or payment_svc does not respond."""
        try:
            found = await self._fetch("payment_svc", f"/payments/{order_id}", PaymentView)
        except UpstreamUnavailable:
            raise HTTPException(503, "payment_svc does not respond; try again in a moment.") from None
        if found is None:
            raise HTTPException(404, "There is no payment for this order.")
        return PaymentView.model_validate(found)


def _staff_id(request: Request) -> UUID:
    return UUID(str(current_user_id(request)))


def _settlement(form: StaffForm, payment: PaymentView, staff_id: UUID) -> payments.SettlePayment | None:
    """None, with errors in the form, if the input is not valid."""
    amount = entered_amount(form, payment)
    try:
        settlement = payments.Settlement.model_validate(
            {"reason": form["reason"], "amount": amount, "reference": form["reference"]}
        )
    except ValidationError as error:
        form.refuse(error)
        return None
    if form.is_wrong:
        return None
    return payments.SettlePayment(order_id=payment.order_id, staff_id=staff_id, settlement=settlement)

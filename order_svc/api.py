"""The read API of orders and prices. Changes are requested by commands over the broker."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded
from chassis.web.app import Limit
from chassis.web.problems import ALWAYS, problem_response, problem_responses
from contracts.http.orders import OrderPage, OrderRefundView, OrderSearchPage, OrderStatus, OrderView
from contracts.values import Day, Id, Money, Sku
from order_svc.decider import RETURN_WINDOW
from order_svc.finding import OrderFinder, OrderQuery
from order_svc.order import Order
from order_svc.price import Price
from order_svc.search_fields import placed_at_of

_orders, _prices = Codec(Order), Codec(Price)


_NUMBER = "^([0-9A-Fa-f]{4,32})?$"
_NUMBER_DESCRIPTION = "the last digits of the id: the order's number on pages and in mails"


class PriceView(BaseModel):
    """An entry of the price book. Without a price the article is no longer sold."""

    sku: str
    revision: int
    price: Money | None


def routes(runtime: Runtime, return_window: timedelta = RETURN_WINDOW) -> APIRouter:
    router = APIRouter(tags=["orders"], responses=ALWAYS)
    finder = OrderFinder(runtime)

    @router.get("/orders/search")
    async def search(
        number: Annotated[str, Query(pattern=_NUMBER, description=_NUMBER_DESCRIPTION)] = "",
        customer_id: Id | None = None,
        status: OrderStatus | None = None,
        sku: Annotated[Sku | None, Query(description="of one of its lines")] = None,
        placed_from: Annotated[Day | None, Query(description="the first day, in UTC")] = None,
        placed_until: Annotated[Day | None, Query(description="the last day, in UTC")] = None,
        after: Annotated[str, Query(max_length=100, description="the `next` of the previous page")] = "",
        limit: Limit = 20,
    ) -> OrderSearchPage:
        """A page of the orders that match all parameters. Those that were placed last come first."""
        query = OrderQuery(
            number, customer_id, status, sku=sku, placed_from=placed_from, placed_until=placed_until
        )
        found = await finder.find(query, after=after, limit=limit)
        items = [_order_view(loaded, return_window) for loaded in found.orders]
        return OrderSearchPage(items=items, next=found.next or None, complete=found.is_complete)

    @router.get("/orders/{order_id}", response_model=OrderView, responses=problem_responses(404))
    async def order(order_id: Id) -> Any:
        """One order."""
        loaded = (await runtime.store.load("orders", [str(order_id)]))[str(order_id)]
        return (
            _order_view(loaded, return_window)
            if loaded.state
            else problem_response(404, "No such order", f"there is no order {order_id}")
        )

    @router.get("/orders")
    async def orders(
        customer_id: Id | None = None,
        status: OrderStatus | None = None,
        after: Id | None = None,
        limit: Limit = 20,
        oldest_first: bool = False,
    ) -> OrderPage:
        """A page of orders, newest first or oldest first: ids are UUIDv7, which sort by time."""
        where = {"customer_id": customer_id and str(customer_id), "status": status and status.value}
        found = await runtime.store.find(
            "orders",
            {path: value for path, value in where.items() if value is not None},
            after=str(after or ""),
            limit=limit + 1,
            newest_first=not oldest_first,
        )
        items = [_order_view(loaded, return_window) for loaded in found[:limit]]
        return OrderPage(items=items, next=items[-1].order_id if len(found) > limit else None)

    @router.get("/prices/{sku}", response_model=PriceView, responses=problem_responses(404))
    async def price(sku: Sku) -> Any:
        """The price that an order placed now gets."""
        loaded = (await runtime.store.load("prices", [sku]))[sku]
        if loaded.state is None:
            return problem_response(404, "No such article", f"{sku} is not in the price book")
        known: Price = _prices.load(loaded.state)
        return PriceView(sku=sku, revision=known.revision, price=known.money)

    return router


def _order_view(loaded: Loaded, return_window: timedelta) -> OrderView:
    assert loaded.state is not None
    order: Order = _orders.load(loaded.state)
    return OrderView(
        order_id=UUID(loaded.key),  # a cancellation that overtook its order left no order, but its id
        customer_id=order.customer_id,
        status=order.status,
        awaits=order.awaits,
        deadline_at=loaded.deadline_at,
        lines=order.lines,
        total=order.total,
        cancel_reason=order.cancel_reason,
        reject_reason=order.reject_reason,
        tracking=order.tracking,
        refunds=tuple(
            OrderRefundView(
                refund_id=refund.refund_id,
                amount=refund.amount,
                returned=refund.returned,
                status=refund.status,
            )
            for refund in order.refunds
        ),
        returnable_until=order.returnable_until(return_window),
        detail=order.detail,
        placed_at=placed_at_of(loaded.state),
        changed_at=loaded.changed_at,
    )

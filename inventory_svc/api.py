"""The read API of stock and reservations. The committed reservations are the warehouse's picking list."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded
from chassis.web.app import Limit
from chassis.web.problems import ALWAYS, problem_response, problem_responses
from contracts.http.inventory import (
    LOW_STOCK_MAX,
    USUAL_LOW_STOCK,
    CorrectionView,
    ReservationPage,
    ReservationStatus,
    ReservationView,
    ReturnView,
    ShelfPage,
    ShelfView,
)
from contracts.values import LINES_MAX, Id, Sku, Skus
from inventory_svc.stock import Correction, Reservation, Shelf

_shelves, _reservations, _corrections = Codec(Shelf), Codec(Reservation), Codec(Correction)
_ORDERS_DESCRIPTION = "only the reservations of these orders; all other parameters are then ignored"
_SKUS_DESCRIPTION = f"up to {LINES_MAX} SKUs, separated by commas; all other parameters are then ignored"


def routes(runtime: Runtime, low_stock: int = USUAL_LOW_STOCK) -> APIRouter:
    """`low_stock`: an article is low in stock while at most so many pieces are available."""
    router = APIRouter(tags=["stock"], responses=ALWAYS)

    @router.get("/stock")
    async def stock(
        skus: Annotated[Skus | None, Query(description=_SKUS_DESCRIPTION)] = None,
        available_max: Annotated[
            int | None,
            Query(ge=0, le=LOW_STOCK_MAX, description="only shelves with at most so many available"),
        ] = None,
        low: Annotated[
            bool, Query(description="only shelves that are low in stock; `available_max` is then ignored")
        ] = False,
        after: Sku | None = None,
        limit: Limit = 20,
    ) -> ShelfPage:
        """A page of shelves by SKU, or the shelves named by `skus`; SKUs without a shelf are left out."""
        if skus is not None:
            wanted = list(dict.fromkeys(skus.split(",")))
            loaded = await runtime.store.load("shelves", wanted)
            items = [_shelf_view(loaded[sku]) for sku in wanted if loaded[sku].state]
            return ShelfPage(items=items, next=None, low_stock=low_stock)
        most = low_stock if low else available_max
        where = {} if most is None else {"available": frozenset(range(most + 1))}
        found = await runtime.store.find("shelves", where, after=after or "", limit=limit + 1)
        items = [_shelf_view(loaded) for loaded in found[:limit]]
        following = items[-1].sku if len(found) > limit else None
        return ShelfPage(items=items, next=following, low_stock=low_stock)

    @router.get("/stock/{sku}", response_model=ShelfView, responses=problem_responses(404))
    async def shelf(sku: Sku) -> Any:
        """One shelf."""
        loaded = (await runtime.store.load("shelves", [sku]))[sku]
        return (
            _shelf_view(loaded)
            if loaded.state
            else problem_response(404, "No such shelf", f"{sku} has never been received")
        )

    @router.get("/reservations")
    async def reservations(
        status: ReservationStatus | None = None,
        after: Id | None = None,
        limit: Limit = 20,
        order_id: Annotated[list[Id] | None, Query(max_length=100, description=_ORDERS_DESCRIPTION)] = None,
    ) -> ReservationPage:
        """A page of reservations, oldest order first. With `status=committed` it is the picking list."""
        if order_id is not None:
            keys = list(dict.fromkeys(str(each) for each in order_id))
            read = await runtime.store.load("reservations", keys)
            views = [_reservation_view(read[key]) for key in keys if read[key].state]
            return ReservationPage(items=views, next=None)
        where = {"status": status.value} if status else {}
        found = await runtime.store.find("reservations", where, after=str(after or ""), limit=limit + 1)
        items = [_reservation_view(loaded) for loaded in found[:limit]]
        return ReservationPage(items=items, next=items[-1].order_id if len(found) > limit else None)

    @router.get("/reservations/{order_id}", response_model=ReservationView, responses=problem_responses(404))
    async def reservation(order_id: Id) -> Any:
        """The reservation of one order."""
        loaded = (await runtime.store.load("reservations", [str(order_id)]))[str(order_id)]
        if loaded.state is None:
            return problem_response(
                404, "No such reservation", f"there is no reservation for order {order_id}"
            )
        return _reservation_view(loaded)

    @router.get(
        "/corrections/{correction_id}", response_model=CorrectionView, responses=problem_responses(404)
    )
    async def correction(correction_id: Id) -> Any:
        """One correction of the stock."""
        key = str(correction_id)
        loaded = (await runtime.store.load("corrections", [key]))[key]
        if loaded.state is None:
            return problem_response(404, "No such correction", f"there is no correction {key}")
        return _correction_view(loaded)

    return router


def _shelf_view(loaded: Loaded) -> ShelfView:
    assert loaded.state is not None
    shelf: Shelf = _shelves.load(loaded.state)
    return ShelfView(
        sku=shelf.sku,
        available=shelf.available,
        reserved=shelf.reserved,
        sold=shelf.sold,
        received=shelf.received,
    )


def _correction_view(loaded: Loaded) -> CorrectionView:
    assert loaded.state is not None
    known: Correction = _corrections.load(loaded.state)
    return CorrectionView(
        correction_id=UUID(loaded.key),
        status=known.status,
        sku=known.sku,
        change=known.change,
        reason=known.reason,
        available=known.available,
    )


def _reservation_view(loaded: Loaded) -> ReservationView:
    assert loaded.state is not None
    known: Reservation = _reservations.load(loaded.state)
    returns = tuple(ReturnView(refund_id=each.refund_id, returned=each.returned) for each in known.returns)
    return ReservationView(order_id=UUID(loaded.key), status=known.status, lines=known.lines, returns=returns)

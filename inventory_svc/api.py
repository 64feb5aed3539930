"""The read API of stock and reservations. The committed reservations are the warehouse's picking list."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from chassis.core.definition import Codec
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded
from chassis.web.app import Limit
from chassis.web.problems import ALWAYS, problem_response, problem_responses
from contracts.http.inventory import ReservationPage, ReservationStatus, ReservationView, ShelfPage, ShelfView
from contracts.values import LINES_MAX, Id, Sku, Skus
from inventory_svc.stock import Reservation, Shelf

_shelves, _reservations = Codec(Shelf), Codec(Reservation)
_SKUS_DESCRIPTION = f"up to {LINES_MAX} SKUs, separated by commas; all other parameters are then ignored"


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["stock"], responses=ALWAYS)

    @router.get("/stock")
    async def stock(
        skus: Annotated[Skus | None, Query(description=_SKUS_DESCRIPTION)] = None,
        after: Sku | None = None,
        limit: Limit = 20,
    ) -> ShelfPage:
        """A page of shelves by SKU, or the shelves named by `skus`; SKUs without a shelf are left out."""
        if skus is not None:
            wanted = list(dict.fromkeys(skus.split(",")))
            loaded = await runtime.store.load("shelves", wanted)
            return ShelfPage(
                items=[_shelf_view(loaded[sku]) for sku in wanted if loaded[sku].state], next=None
            )
        found = await runtime.store.find("shelves", after=after or "", limit=limit + 1)
        items = [_shelf_view(loaded) for loaded in found[:limit]]
        return ShelfPage(items=items, next=items[-1].sku if len(found) > limit else None)

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
        status: ReservationStatus | None = None, after: Id | None = None, limit: Limit = 20
    ) -> ReservationPage:
        """A page of reservations, oldest order first. With `status=committed` it is the picking list."""
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


def _reservation_view(loaded: Loaded) -> ReservationView:
    assert loaded.state is not None
    known: Reservation = _reservations.load(loaded.state)
    return ReservationView(order_id=UUID(loaded.key), status=known.status, lines=known.lines)

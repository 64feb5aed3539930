"""Finds orders by the indexes of their fields and derived fields (search_fields.py), newest first.

An earlier version stored no derived fields. Each search derives those of a page of such orders, and if there
are more, starts to derive all of them, page by page. Until that is done, the result may lack orders. An
interrupted run continues with the next search.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from chassis import telemetry
from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded, StoreUnavailable
from contracts.http.orders import OrderStatus
from order_svc.order import Order
from order_svc.search_fields import REVERSED_ID, SEARCH_FIELDS, SORT_KEY, placed_between, with_number

_KIND = "orders"
_PAGE = 500
_orders = Codec(Order)


@dataclass(frozen=True)
class OrderQuery:
    """All that is given must match. `number`: the end of the id. The days are in UTC, both included."""

    number: str = ""
    customer_id: UUID | None = None
    status: OrderStatus | None = None
    sku: str | None = None
    placed_from: date | None = None
    placed_until: date | None = None

    def where(self) -> dict[str, Any]:
        conditions = {
            REVERSED_ID: with_number(self.number) if self.number else None,
            "customer_id": str(self.customer_id) if self.customer_id else None,
            "status": self.status and self.status.value,
            "lines.sku": self.sku,
            SORT_KEY: placed_between(self.placed_from, self.placed_until),
        }
        return {path: condition for path, condition in conditions.items() if condition is not None}


@dataclass(frozen=True)
class FoundOrders:
    """`next`: where the following page begins, empty on the last one. `is_complete`: see the module."""

    orders: list[Loaded]
    next: str
    is_complete: bool


class OrderFinder:
    """All methods raise StoreUnavailable while the database is down."""

    def __init__(self, runtime: Runtime) -> None:
        self._store, self._clock = runtime.store, runtime.clock
        self._deriving: asyncio.Task[None] | None = None

    async def find(self, query: OrderQuery, *, after: str, limit: int) -> FoundOrders:
        """A page of orders, those that were placed last first. `after`: the `next` of the previous page."""
        is_complete = await self._derive_some()
        found = await self._store.find(
            _KIND, query.where(), by=SORT_KEY, after=after, limit=limit + 1, newest_first=True
        )
        more = len(found) > limit
        page = found[:limit]
        following = str((page[-1].state or {})[SORT_KEY]) if more else ""
        return FoundOrders(page, following, is_complete)

    async def derived(self) -> None:
        """Returns when a run that has begun is done."""
        if self._deriving is not None:
            await self._deriving

    async def _derive_some(self) -> bool:
        """Whether no order lacks the derived fields any more."""
        if self._deriving is not None and not self._deriving.done():
            return False
        page = await self._derive_page("")
        if len(page) < _PAGE:
            return True
        self._deriving = asyncio.create_task(self._derive_all(page[-1].key), name="derive search fields")
        return False

    async def _derive_all(self, after: str) -> None:
        count = _PAGE
        try:
            while page := await self._derive_page(after):
                count, after = count + len(page), page[-1].key
        except StoreUnavailable as error:
            telemetry.log.warning(
                "search fields are derived with a later search", derived=count, error=str(error)
            )
        else:
            telemetry.log.info("search fields are derived", derived=count)

    async def _derive_page(self, after: str) -> Sequence[Loaded]:
        page = await self._store.find(_KIND, SEARCH_FIELDS.missing, after=after, limit=_PAGE)
        if page:
            await self._store.set_derived(
                _KIND, {each.key: (each.version, self._fields(each)) for each in page}
            )
        return page

    def _fields(self, loaded: Loaded) -> dict[str, str]:
        state = loaded.state or {}
        try:
            order = _orders.load(state)
        except ValueError:  # it is not listed, and not derived again with each search
            order = Order()
        changed_at = loaded.changed_at or self._clock()
        return SEARCH_FIELDS.of(order, state, key=loaded.key, changed_at=changed_at)

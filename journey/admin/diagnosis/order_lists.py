"""Reads the lists of all services, an order at a time or all orders in parallel."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx

from journey.admin.diagnosis.expired import Rules, confirmed_at, rules_of
from journey.admin.diagnosis.handled_messages import Reader
from journey.admin.diagnosis.promises import Views
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.paging import batched, joined, pages
from journey.admin.registry import service_of

Json = dict[str, Any]
STARTS = "`journey up` starts what is not running"
_AT_ONCE = 16
_RESPONSE_S_MAX = 20.0
_ONE = ("/orders", "/reservations", "/payments")  # one item per order, with the order's id as its key
# Each list, and the kind of aggregate that it is about. Its service is the one with this kind.
_LISTS = {
    "/orders": "orders",
    "/reservations": "reservations",
    "/payments": "payments",
    "/provider/ledger": "payments",
    "/mails": "mails",
    "/stock": "reservations",
}
_OLDEST_FIRST = {path: {"oldest_first": "true"} for path in ("/orders", "/payments", "/mails")}


class Lists:
    """What the services return about orders: all orders, recent ones, or given ones."""

    def __init__(self, http: httpx.AsyncClient, addresses: Mapping[str, str]) -> None:
        self._http = http
        self._addresses = addresses
        self._has_ledger: bool | None = None

    def read(self, path: str, **which: str) -> AsyncGenerator[Json, None]:
        """All items of a list, in ascending order of their keys."""
        return pages(self._http, f"{self._address(path)}{path}", **which)

    async def rules(self) -> Rules:
        return await rules_of(
            self._http, self._addresses, sorted({service_of(kind) for kind in _LISTS.values()})
        )

    async def dated(self, order_id: str, views: Views) -> Views:
        """Add the time of the confirmation,
        if that is needed to tell whether the payment may have expired.
        """
        if views.payment or not views.order or views.order["status"] != "dispatched":
            return views
        confirmed = await confirmed_at(self._http, self._address("/orders"), order_id)
        return replace(views, confirmed_at=confirmed)

    async def all(self) -> AsyncGenerator[tuple[str, Views], None]:
        """All orders, and everything else with an order's id."""
        lists = {path: self.read(path, **_OLDEST_FIRST.get(path, {})) for path in await self._of_orders()}
        async with aclosing(joined(lists, _order_of)) as orders:
            async for order_id, found in orders:
                yield order_id, self._views(found)

    async def recent(self, since: datetime) -> AsyncGenerator[tuple[str, Views], None]:
        """Orders not at rest or changed since.

        Raises InfrastructureUnavailable if a service does not respond.
        """
        async with aclosing(self.open()) as found:
            async for each in found:
                yield each
        reader = Reader(self._http, self._addresses, ())
        async with aclosing(self._of(reader, reader.changed(since))) as found:
            async for each in found:
                yield each

    async def open(self) -> AsyncGenerator[tuple[str, Views], None]:
        """Orders that are not at rest.

        Raises InfrastructureUnavailable if a service does not respond.
        """
        reader = Reader(self._http, self._addresses, ())
        async with aclosing(self._of(reader, reader.open())) as found:
            async for each in found:
                yield each

    async def _of(
        self, reader: Reader, subjects: AsyncGenerator[str, None]
    ) -> AsyncGenerator[tuple[str, Views], None]:
        async with aclosing(batched(subjects, _AT_ONCE)) as batches:
            async for ids in batches:
                async with aclosing(self.each(ids)) as found:
                    async for each in found:
                        yield each
        _raise_if_silent(reader)

    async def each(self, order_ids: Sequence[str]) -> AsyncGenerator[tuple[str, Views], None]:
        for start in range(0, len(order_ids), _AT_ONCE):
            ids = order_ids[start : start + _AT_ONCE]
            for order_id, views in zip(ids, await asyncio.gather(*map(self._one, ids)), strict=True):
                yield order_id, views

    async def _one(self, order_id: str) -> Views:
        paths = [path for path in await self._of_orders() if path in _ONE]
        responses = await asyncio.gather(*(self._get(path, f"{path}/{order_id}") for path in paths))
        found = {
            path: [response] if response else [] for path, response in zip(paths, responses, strict=True)
        }
        mails = await self._get("/mails", "/mails", about=order_id, limit="100")
        found["/mails"] = mails["items"] if mails else []
        if self._has_ledger:
            ledger = await self._get(
                "/provider/ledger", "/provider/ledger", after=f"{order_id}:", limit="100"
            )
            entries = ledger["items"] if ledger else []
            found["/provider/ledger"] = [each for each in entries if each["key"].startswith(f"{order_id}:")]
        return self._views(found)

    def _views(self, found: Mapping[str, Sequence[Json]]) -> Views:
        order, reservation, payment = (next(iter(found.get(path, ())), None) for path in _ONE)
        ledger = found.get("/provider/ledger", ()) if self._has_ledger else None
        return Views(order, reservation, payment, ledger, found.get("/mails", ()))

    async def _of_orders(self) -> list[str]:
        """The lists about orders; a real card provider does not expose its ledger."""
        if self._has_ledger is None:
            self._has_ledger = await self._get("/provider/ledger", "/provider/ledger", limit="1") is not None
        return [
            path for path in _LISTS if path != "/stock" and (self._has_ledger or path != "/provider/ledger")
        ]

    def _address(self, list_: str) -> str:
        return self._addresses[service_of(_LISTS[list_])]

    async def _get(self, list_: str, path: str, **which: str) -> Json | None:
        """None if it does not exist."""
        url = f"{self._address(list_)}{path}"
        response = await self._http.get(url, params=which, timeout=_RESPONSE_S_MAX)
        if response.status_code in (404, 422):  # a key that is not an order id belongs to no order
            return None
        found: Json = response.raise_for_status().json()
        return found


def _raise_if_silent(reader: Reader) -> None:
    if reader.silent:
        [(service, why), *_] = reader.silent.items()
        raise InfrastructureUnavailable(
            f"{service} did not return its open orders: {why}", f"check its log and its database; {STARTS}"
        )


def _order_of(path: str, item: Json) -> str:
    return str(item["order_id"] if path in _ONE else item["key"]).partition(":")[0]

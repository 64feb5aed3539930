"""Collects what every service stores about a user. Nothing of it is stored, logged or cached here.

A service that does not respond in time leaves its part incomplete, and the export says so: the other parts
are of use without it, and the user can repeat the request.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from chassis.clock import Clock
from chassis.store.protocol import StoreUnavailable
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from gateway.auth.principal import Principal
from gateway.auth.user_client import UserClient
from gateway.basket.repository import BasketRepository, user_basket_key
from gateway.orders.customer_orders import CustomerOrders
from gateway.orders.views import order_view

ITEMS_MAX = 1_000
PAGE_SIZE = 100
# Less than half of the time that a response may take to begin: a part may have to wait for another.
PART_S_MAX = 8.0
_NOT_ASKED = "the order list is incomplete, so other orders were not asked about"


class ExportPart(BaseModel):
    """What one service stores about the user. `detail`: what is missing, if it is not complete."""

    complete: bool
    detail: str = ""
    data: dict[str, Any] = {}


class UserDataExport(BaseModel):
    """All data about a user, by service. `complete`: whether every part is."""

    user_id: UUID
    exported_at: datetime
    complete: bool
    services: dict[str, ExportPart] = Field(description="by the name of the service that stores the data")


class _Page(BaseModel):
    items: list[dict[str, Any]]
    next: str | None


@dataclass(frozen=True)
class _Found:
    """`missing`: what is missing; empty if nothing is."""

    items: list[dict[str, Any]]
    missing: str = ""


@dataclass(frozen=True)
class ExportSources:
    """The services that store data by user or by order; None without an address in the settings."""

    orders: UpstreamClient | None
    stock: UpstreamClient | None
    payments: UpstreamClient | None
    mails: UpstreamClient | None


class DataExport:
    def __init__(
        self,
        sources: ExportSources,
        user_client: UserClient,
        own: tuple[CustomerOrders, BasketRepository],
        *,
        clock: Clock,
    ) -> None:
        """`own`: the gateway's own data."""
        self._sources = sources
        self._user_client = user_client
        self._own_orders, self._baskets = own
        self._clock = clock

    async def of(self, user: Principal) -> UserDataExport:
        by_customer = {"customer_id": str(user.user_id)}
        account, own, orders, mails = await asyncio.gather(
            self._account(user),
            self._own(user.user_id),
            _pages("order_svc", self._sources.orders, "/orders", by_customer),
            _pages("notification_svc", self._sources.mails, "/mails", {"user_id": str(user.user_id)}),
        )
        known = {*_ids(orders.items, "order_id"), *_ids(own.data.get("orders", []), "id")}
        reservations, payments = await asyncio.gather(
            _of_orders("inventory_svc", self._sources.stock, "/reservations", known),
            _of_orders("payment_svc", self._sources.payments, "/payments", known),
        )
        services = {
            "user_svc": account,
            "gateway": own,
            "order_svc": _part("orders", orders),
            "inventory_svc": _part("reservations", reservations, _NOT_ASKED if orders.missing else ""),
            "payment_svc": _part("payments", payments, _NOT_ASKED if orders.missing else ""),
            "notification_svc": _part("mails", mails),
            "product_svc": ExportPart(complete=True, detail="it stores no data about users"),
        }
        complete = all(part.complete for part in services.values())
        return UserDataExport(
            user_id=user.user_id, exported_at=self._clock(), complete=complete, services=services
        )

    async def _account(self, user: Principal) -> ExportPart:
        try:
            async with asyncio.timeout(PART_S_MAX):
                account = (await self._user_client.account(user)).model_dump(mode="json")
        except (UpstreamUnavailable, TimeoutError):
            return ExportPart(complete=False, detail=_away("user_svc"))

        async def request(params: Mapping[str, Any]) -> bytes:
            query = "&".join(f"{name}={value}" for name, value in params.items())
            page = await self._user_client.request("GET", f"/users/me/sessions?{query}", user=user)
            if page.status_code != 200:
                raise UpstreamUnavailable("user_svc")
            return page.content

        sessions = await _read_pages("user_svc", request)
        part = _part("sessions", sessions)
        return part.model_copy(update={"data": {"account": account} | part.data})

    async def _own(self, user_id: UUID) -> ExportPart:
        """The orders as their pages show them, and the basket."""
        views: list[dict[str, Any]] = []
        try:
            basket = await self._baskets.get(user_basket_key(user_id))
            items = [{"sku": item.sku, "quantity": item.quantity} for item in basket.items]
            sealing = await self._own_orders.sealing_of(user_id)
            after: UUID | None = None
            while len(views) < ITEMS_MAX:
                page = await self._own_orders.list_for_customer(user_id, after, PAGE_SIZE)
                views += [
                    order_view(order_id, timeline, sealing.open(timeline.sealed_address)).model_dump(
                        mode="json"
                    )
                    for order_id, timeline in page
                ]
                if len(page) < PAGE_SIZE:
                    return ExportPart(complete=True, data={"basket": items, "orders": views})
                after = page[-1][0]
        except StoreUnavailable:
            return ExportPart(complete=False, detail=_away("the gateway's database"), data={"orders": views})
        return ExportPart(complete=False, detail=_CUT, data={"basket": items, "orders": views})


_CUT = f"only the newest {ITEMS_MAX} are listed"


def _away(name: str) -> str:
    return f"{name} did not respond; try again later"


def _unset(name: str) -> _Found:
    return _Found([], f"the gateway has no address of {name}: {name.upper()}_URL is not set")


def _part(name: str, found: _Found, missing: str = "") -> ExportPart:
    detail = found.missing or missing
    return ExportPart(complete=not detail, detail=detail, data={name: found.items})


def _ids(items: Sequence[Mapping[str, Any]], field: str) -> set[str]:
    return {str(item[field]) for item in items if field in item}


async def _pages(name: str, upstream: UpstreamClient | None, path: str, where: Mapping[str, str]) -> _Found:
    """All items for which `where` holds. It is checked again, because a release that does not know the
    parameter would return those of other users.
    """
    if upstream is None:
        return _unset(name)

    async def request(params: Mapping[str, Any]) -> bytes:
        return await _get(upstream, path, {**where, **params})

    found = await _read_pages(name, request)
    matching = [item for item in found.items if all(item.get(key) == value for key, value in where.items())]
    other = "" if len(matching) == len(found.items) else _too_old(name)
    return _Found(matching, found.missing or other)


async def _of_orders(
    name: str, upstream: UpstreamClient | None, path: str, order_ids: Collection[str]
) -> _Found:
    """The items of these orders, newest first."""
    if upstream is None:
        return _unset(name)
    items: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PART_S_MAX):
            newest_first = sorted(order_ids, reverse=True)
            for start in range(0, len(newest_first), PAGE_SIZE):
                chunk = newest_first[start : start + PAGE_SIZE]
                page = _Page.model_validate_json(await _get(upstream, path, {"order_id": chunk}))
                items += [item for item in page.items if item.get("order_id") in chunk]
                if page.next is not None:
                    return _Found(items, _too_old(name))
    except (UpstreamUnavailable, ValidationError, TimeoutError):
        return _Found(items, _away(name))
    return _Found(items)


def _too_old(name: str) -> str:
    return f"{name} is of a release that cannot list the data of one user"


async def _get(upstream: UpstreamClient, path: str, params: Mapping[str, Any]) -> bytes:
    response = await upstream.get(path, params=params)
    if response.status_code != 200:
        raise UpstreamUnavailable(upstream.name)
    return response.content


async def _read_pages(name: str, request: Callable[[Mapping[str, Any]], Any]) -> _Found:
    """Up to ITEMS_MAX items. `request`: gets a page by its parameters."""
    items: list[dict[str, Any]] = []
    after: str | None = None
    try:
        async with asyncio.timeout(PART_S_MAX):
            while len(items) < ITEMS_MAX:
                params = {"limit": PAGE_SIZE} | ({"after": after} if after else {})
                page = _Page.model_validate_json(await request(params))
                items += page.items
                if (after := page.next) is None:
                    return _Found(items)
    except (UpstreamUnavailable, ValidationError, TimeoutError):
        return _Found(items, _away(name))
    return _Found(items, _CUT)

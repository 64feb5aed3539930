"""Checks the invariants of journey/admin/diagnosis/promises.py in memory."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from journey.admin.diagnosis import order_lists, promises
from journey.admin.diagnosis.promises import BrokenPromises, Finding, Pieces, Views

Json = dict[str, Any]


@dataclass
class World:
    """What the services store about a few orders, as far as the invariants need it."""

    orders: dict[str, Json] = field(default_factory=dict)
    shelves: list[Json] = field(default_factory=list)
    reservations: dict[str, Json] = field(default_factory=dict)
    payments: dict[str, Json] = field(default_factory=dict)
    ledger: list[Json] = field(default_factory=list)
    mails: list[Json] = field(default_factory=list)
    dead: dict[str, int] = field(default_factory=dict)


async def read_world(
    http: httpx.AsyncClient, addresses: Mapping[str, str], dead: Mapping[str, int] | None = None
) -> World:
    """Everything that the services store. Raises httpx.HTTPError if one does not respond."""
    read = order_lists.Lists(http, addresses).read

    async def all_of(path: str) -> list[Json]:
        return [item async for item in read(path)]

    orders, shelves, reservations, payments, ledger, mails = await asyncio.gather(
        *map(all_of, ("/orders", "/stock", "/reservations", "/payments", "/provider/ledger", "/mails"))
    )
    return World(
        orders={order["order_id"]: order for order in orders},
        shelves=shelves,
        reservations={reservation["order_id"]: reservation for reservation in reservations},
        payments={payment["order_id"]: payment for payment in payments},
        ledger=ledger,
        mails=mails,
        dead=dict(dead or {}),
    )


def examine(world: World) -> list[Finding]:
    ledger: defaultdict[str, list[Json]] = defaultdict(list)
    for entry in world.ledger:
        ledger[entry["key"].partition(":")[0]].append(entry)
    mails: defaultdict[str, list[Json]] = defaultdict(list)
    for mail in world.mails:
        mails[str(mail["about"])].append(mail)
    by_order = BrokenPromises()
    besides = BrokenPromises()
    pieces = Pieces()
    for id_ in sorted(world.orders.keys() | world.reservations.keys()):
        order = world.orders.get(id_)
        goods = world.reservations.get(id_)
        payment = world.payments.get(id_)
        views = Views(order, goods, payment, ledger[id_], mails[id_])
        pieces.count(views)
        by_order.enter(promises.of_order(id_, views))
    for shelf in world.shelves:
        for broken in (
            promises.of_shelf(shelf),
            promises.of_sold(shelf, pieces),
            promises.of_held(shelf, pieces),
        ):
            besides.enter(broken)
    besides.enter(promises.of_dead(world.dead))
    return promises.findings(besides, by_order, {})

"""`journey doctor`: checks the promises of the system across all services, through their own HTTP APIs."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]
CONFIRMED = {"confirmed", "dispatched"}
_TAKEN = {"committed", "dispatched"}  # of goods
_PAGE = 100
_MOVES = {"captured": 1, "refunded": -1}


@dataclass
class World:
    """Everything that the services remember, as far as the invariants speak of it."""

    orders: dict[str, Json] = field(default_factory=dict)
    shelves: list[Json] = field(default_factory=list)
    reservations: dict[str, Json] = field(default_factory=dict)
    payments: dict[str, Json] = field(default_factory=dict)
    ledger: list[Json] = field(default_factory=list)
    mails: list[Json] = field(default_factory=list)
    dead: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One promise, whether it holds, and the first things that break it."""

    promise: str
    broken: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.broken


def examine(world: World) -> list[Finding]:
    checks: list[tuple[str, Callable[[World], Iterable[str]]]] = [
        ("every order is at rest", _at_rest),
        ("per article: available + reserved + sold = received, none below 0", _shelves),
        ("stock agrees with the orders: sold for confirmed ones, nothing for the others", _reservations),
        ("per article: what is reserved is held by reservations", _held),
        ("money agrees with the orders: captured for confirmed ones, given back for the others", _payments),
        ("the card provider's ledger agrees with our payments, one effect per key", _ledger),
        ("one mail per order and kind", _mails),
        ("no dead letters", _dead),
    ]
    return [Finding(promise, tuple(check(world))) for promise, check in checks]


async def gather(http: httpx.AsyncClient, addresses: dict[str, str], dead: dict[str, int]) -> World:
    """Read all pages of all services; raises httpx.HTTPError if one does not answer."""
    orders, shelves, reservations, payments, ledger, mails = await asyncio.gather(
        pages(http, f"{addresses['order_svc']}/orders"),
        pages(http, f"{addresses['inventory_svc']}/stock"),
        pages(http, f"{addresses['inventory_svc']}/reservations"),
        pages(http, f"{addresses['payment_svc']}/payments"),
        pages(http, f"{addresses['payment_svc']}/provider/ledger"),
        pages(http, f"{addresses['notification_svc']}/mails"),
    )
    return World(
        orders={order["order_id"]: order for order in orders},
        shelves=shelves,
        reservations={reservation["order_id"]: reservation for reservation in reservations},
        payments={payment["order_id"]: payment for payment in payments},
        ledger=ledger,
        mails=mails,
        dead=dead,
    )


async def settled(http: httpx.AsyncClient, addresses: dict[str, str], dead: Any, *, wait_s: float) -> list[Finding]:
    """Examine again and again until all holds: news needs a moment to travel. The last findings come back."""
    end = asyncio.get_running_loop().time() + wait_s
    while True:
        findings = examine(await gather(http, addresses, await dead()))
        if all(finding.holds for finding in findings) or asyncio.get_running_loop().time() > end:
            return findings
        await asyncio.sleep(0.5)


async def pages(http: httpx.AsyncClient, url: str) -> list[Json]:
    found: list[Json] = []
    after = ""
    while True:
        answer = await http.get(url, params={"limit": _PAGE, **({"after": after} if after else {})}, timeout=10)
        answer.raise_for_status()
        page = answer.json()
        found += page["items"]
        if not page["next"]:
            return found
        after = page["next"]


def _at_rest(world: World) -> Iterable[str]:
    for order_id, order in world.orders.items():
        if order["status"] == "placed":
            yield f"order {order_id} still waits for {' and '.join(order['awaits'])}"


def _shelves(world: World) -> Iterable[str]:
    for shelf in world.shelves:
        parts = (shelf["available"], shelf["reserved"], shelf["sold"])
        if min(parts) < 0 or sum(parts) != shelf["received"]:
            yield f"{shelf['sku']}: {shelf}"


def _reservations(world: World) -> Iterable[str]:
    sold: Counter[str] = Counter()
    for order_id, order in world.orders.items():
        status = world.reservations.get(order_id, {}).get("status", "")
        if order["status"] in CONFIRMED and status not in _TAKEN:
            yield f"order {order_id} is {order['status']}, its goods are {status or 'unknown'}"
        if order["status"] in ("cancelled", "rejected") and status in ("held", "committed", "dispatched"):
            yield f"order {order_id} is {order['status']}, but its goods are {status}"
        # An order that needs attention keeps its goods until somebody has looked.
        if order["status"] in CONFIRMED or (order["status"] == "needs_attention" and status in _TAKEN):
            for line in order["lines"]:
                sold[line["sku"]] += line["quantity"]
    for shelf in world.shelves:
        if shelf["sold"] != sold[shelf["sku"]]:
            yield f"{shelf['sku']}: {shelf['sold']} sold, but confirmed orders took {sold[shelf['sku']]}"


def _held(world: World) -> Iterable[str]:
    held: Counter[str] = Counter()
    for reservation in world.reservations.values():
        if reservation["status"] == "held":
            held.update({line["sku"]: line["quantity"] for line in reservation["lines"]})
    for shelf in world.shelves:
        if shelf["reserved"] != held[shelf["sku"]]:
            yield f"{shelf['sku']}: {shelf['reserved']} reserved, but reservations hold {held[shelf['sku']]}"


def _payments(world: World) -> Iterable[str]:
    for order_id, order in world.orders.items():
        status = world.payments.get(order_id, {}).get("status", "")
        if order["status"] in CONFIRMED and status != "captured":
            yield f"order {order_id} is {order['status']}, its payment is {status or 'unknown'}"
        # An order that was rejected, or cancelled before it was placed, may be unknown to payment_svc.
        if order["status"] in ("cancelled", "rejected") and status not in (
            "", "dropped", "declined", "voided", "refunded"
        ):  # fmt: skip
            yield f"order {order_id} is {order['status']}, but its payment is {status}"


def _ledger(world: World) -> Iterable[str]:
    net: defaultdict[str, int] = defaultdict(int)
    times: Counter[str] = Counter()
    for entry in world.ledger:
        order_id = entry["key"].partition(":")[0]
        times[entry["key"]] += 1
        net[order_id] += entry["amount"]["amount_minor"] * _MOVES.get(entry["outcome"], 0)
    for key, count in times.items():
        if count > 1:
            yield f"{key} is in the ledger {count} times"
    for order_id, order in world.orders.items():
        due = order["total"]["amount_minor"] if order["status"] in CONFIRMED else 0
        if order["status"] != "needs_attention" and net[order_id] != due:
            yield f"order {order_id} is {order['status']}: {net[order_id]} net at the provider, {due} due"


def _mails(world: World) -> Iterable[str]:
    sent = {(mail["about"], mail["kind"]): mail["status"] for mail in world.mails}
    for order_id, order in world.orders.items():
        kind = {"confirmed": "order_confirmed", "dispatched": "order_dispatched", "cancelled": "order_cancelled"}.get(
            order["status"]
        )
        if kind and sent.get((order_id, kind)) not in ("sent", "undeliverable"):
            yield f"order {order_id}: the mail {kind} is {sent.get((order_id, kind), 'not even queued')}"


def _dead(world: World) -> Iterable[str]:
    for queue, count in world.dead.items():
        if count:
            yield f"{queue} holds {count}"

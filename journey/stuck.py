"""`journey stuck`: every order that has been waiting for too long, from all that the services have handled and said.

The services are read page by page, ids only, and compared here; no order is asked for by itself.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from contracts.message import REGISTRY
from contracts.orders import PlaceOrder
from journey import circumstances
from journey.awaited import KEPT, Awaited, Word, awaited
from journey.circumstances import NO_ANSWER, Circumstances
from journey.dead_letters import DeadLetter
from journey.place import Place

Json = dict[str, Any]
PAGE = 500
ORDERS = "orders"
_ANSWER_S_MAX = 20.0


@dataclass(frozen=True)
class Known:
    """What order_svc knows of an order's standing."""

    status: str
    deadline_at: datetime | None


@dataclass
class Accounts:
    """What the services have handled and said. A service that did not answer is missing in `handled`."""

    orders: dict[str, Known] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    words: list[Word] = field(default_factory=list)
    handled: dict[str, set[str]] = field(default_factory=dict)

    @property
    def silent(self) -> list[str]:
        return [service for service, kinds in KEPT.items() if kinds and service not in self.handled]


@dataclass(frozen=True)
class StuckOrder:
    """An order that is not at rest, what is awaited (oldest first), since when, and its dead letters."""

    order_id: str
    status: str
    since: datetime
    deadline_at: datetime | None
    awaited: tuple[Awaited, ...]
    letters: tuple[DeadLetter, ...]

    def as_json(self) -> Json:
        return {
            "order_id": self.order_id,
            "status": self.status or None,
            "since": self.since.isoformat(),
            "deadline_at": self.deadline_at and self.deadline_at.isoformat(),
            "awaited": [each.as_json() for each in self.awaited],
            "dead_letters": [letter.id for letter in self.letters],
        }


@dataclass(frozen=True)
class Findings:
    """`partial`: somebody did not answer, so there may be more."""

    at: datetime
    stuck: Sequence[StuckOrder]
    silent: Sequence[str]
    circumstances: Circumstances

    @property
    def partial(self) -> bool:
        return bool(self.silent) or self.circumstances.letters is None

    def as_json(self) -> Json:
        return {
            "stuck": [order.as_json() for order in self.stuck],
            "not_ready": dict(self.circumstances.unready),
            "partial": self.partial,
        }


async def find(place: Place, older_than: timedelta) -> Findings:
    async with httpx.AsyncClient(timeout=_ANSWER_S_MAX) as http:
        now = await circumstances.look(place, http)
        accounts = await read(http, now)
    at = datetime.now(UTC)
    return Findings(at, stuck(accounts, now.letters or (), at - older_than), accounts.silent, now)


def stuck(accounts: Accounts, letters: Iterable[DeadLetter], before: datetime) -> list[StuckOrder]:
    """The orders that have been waiting since before that time, longest first.

    An order waits if it says so itself by its deadline, if a service that answers has still to handle a message about
    it, or if one is a dead letter. That a silent service *may* have something to do is no reason to call it stuck.
    """
    missing: dict[str, list[Awaited]] = {}
    for each in awaited(accounts.words, accounts.handled):
        missing.setdefault(each.word.subject, []).append(each)
    dead = _about_orders(letters, accounts)
    waiting = {order_id for order_id, order in accounts.orders.items() if order.deadline_at is not None}
    behind = {id_ for id_ in missing.keys() & accounts.keys if any(each.certain for each in missing[id_])}
    begun = _begun(accounts.words)
    found = []
    for order_id in waiting | behind | dead.keys():
        steps, died = missing.get(order_id, []), dead.get(order_id, [])
        times = [step.word.at for step in steps] + [letter.died_at for letter in died if letter.died_at]
        since = min(times, default=begun.get(order_id, before))
        if since <= before:
            order = accounts.orders.get(order_id, Known("", None))
            found.append(StuckOrder(order_id, order.status, since, order.deadline_at, tuple(steps), tuple(died)))
    return sorted(found, key=lambda order: order.since)


def _about_orders(letters: Iterable[DeadLetter], accounts: Accounts) -> dict[str, list[DeadLetter]]:
    """By order, without those that their service has handled after all."""
    found: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        contract = REGISTRY.get(letter.type)
        is_about_order = contract is not None and contract.SUBJECT == PlaceOrder.SUBJECT
        if is_about_order or letter.journey_id in accounts.keys:
            subject = str(letter.parcel.headers.get("subject") or letter.journey_id)
            if letter.id not in accounts.handled.get(letter.service, ()):
                found.setdefault(subject, []).append(letter)
    return found


def _begun(words: Iterable[Word]) -> dict[str, datetime]:
    """When the first word was said about each thing."""
    begun: dict[str, datetime] = {}
    for word in words:
        begun[word.subject] = min(word.at, begun.get(word.subject, word.at))
    return begun


async def read(http: httpx.AsyncClient, now: Circumstances) -> Accounts:
    """All pages of all services that answer. `keys` are those of orders, and of what is kept beside each order."""
    accounts = Accounts()
    asked = [service for service, kinds in KEPT.items() if kinds and now.unready.get(service) != NO_ANSWER]
    answers = await asyncio.gather(*(_pages_of(http, now.addresses[service], service) for service in asked))
    for service, pages in zip(asked, answers, strict=True):
        if pages is not None:
            accounts.handled[service] = set()
            for kind, items in pages.items():
                _enter(accounts, service, kind, items)
    return accounts


def _enter(accounts: Accounts, service: str, kind: str, items: list[Json]) -> None:
    for item in items:
        accounts.keys.add(item["key"])
        accounts.handled[service].update(item["handled"])
        for said in item["said"]:
            at = datetime.fromisoformat(said["time"])
            accounts.words.append(Word(said["id"], said["type"], said["subject"], at, service))
        if kind == ORDERS:
            deadline = item["deadline_at"]
            accounts.orders[item["key"]] = Known(item["status"], deadline and datetime.fromisoformat(deadline))


async def _pages_of(http: httpx.AsyncClient, address: str, service: str) -> dict[str, list[Json]] | None:
    """By kind; None if the service does not answer to the end, for half an answer would look like work undone."""
    try:
        pages = await asyncio.gather(*(_pages(http, f"{address}/handled/{kind}") for kind in KEPT[service]))
    except httpx.HTTPError:
        return None
    return dict(zip(KEPT[service], pages, strict=True))


async def _pages(http: httpx.AsyncClient, url: str) -> list[Json]:
    found: list[Json] = []
    while True:
        after = {"after": found[-1]["key"]} if found else {}
        answer = await http.get(url, params={"limit": PAGE, **after})
        page: list[Json] = answer.raise_for_status().json()
        found += page
        if len(page) < PAGE:
            return found

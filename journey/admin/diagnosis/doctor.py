"""`journey doctor`: checks the invariants across all services through their HTTP APIs.

The lists of all services are read in parallel, sorted by order id, one page of each at a time. So an audit of a million
orders takes minutes and little memory. A `recent` audit checks only orders that are not at rest or changed recently;
it skips what only the sum over all orders can show. Both report first what is quick to check: dead letters, alarms,
stock, and then the first orders that are not at rest.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx

from journey.admin.diagnosis import promises
from journey.admin.diagnosis.expired import Rules, confirmed_at, rules_of
from journey.admin.diagnosis.handled_messages import Reader
from journey.admin.diagnosis.promises import BrokenPromises, Early, Finding, OnEarly, Pieces, Views
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.paging import batched, growing, joined, read_ahead

Json = dict[str, Any]
PAGE = 500
STARTS = "`journey up` starts what is not running"
_AT_ONCE = 16
_SUSPECTS_MAX = 1_000
_EARLY_ORDERS_MAX = 100
_AGAIN_S = 0.5
_REPEATED_S = 5.0  # a longer audit is not repeated: only its suspects are checked again
_ANSWER_S_MAX = 20.0
_EXPIRED = "older orders may have expired, so the stock may count more pieces as sold than the remaining orders"
_LEFT_OUT = "sold pieces are not compared with all orders; run `journey doctor` without --recent"

Dead = Callable[[], Awaitable[Mapping[str, int]]]
Alarms = Callable[[], Awaitable[Sequence[str]]]
OnProgress = Callable[["Examination"], None]


_ONE = ("/orders", "/reservations", "/payments")  # one item per order, with the order's id as its key
_LISTS = {
    "/orders": "order_svc",
    "/reservations": "inventory_svc",
    "/payments": "payment_svc",
    "/provider/ledger": "payment_svc",
    "/mails": "notification_svc",
    "/stock": "inventory_svc",
}
_OLDEST_FIRST = {path: {"oldest_first": "true"} for path in ("/orders", "/payments", "/mails")}


async def no_alarms() -> Sequence[str]:
    """For brokers whose alarms are not checked."""
    return ()


class Examination:
    """One pass over all services. `orders`: number of orders checked; `broken`: number of violations found so far."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        addresses: Mapping[str, str],
        *,
        since: datetime | None,
        early: Early,
        on_progress: OnProgress,
    ) -> None:
        self._lists, self._since, self._early, self._on_progress = Lists(http, addresses), since, early, on_progress
        self._pieces, self._by_order, self._besides = Pieces(), BrokenPromises(), BrokenPromises()
        self._suspects: list[str] = []
        self._rules = promises.KEPT_FOR_EVER
        self.orders = 0

    @property
    def broken(self) -> int:
        return self._by_order.counts.total() + self._besides.counts.total()

    @property
    def findings(self) -> list[Finding]:
        left_out = _LEFT_OUT if self._since is not None else _EXPIRED if self._rules.any_gone("orders") else ""
        return promises.findings(self._besides, self._by_order, {promises.STOCK: left_out})

    async def run(self, dead: Mapping[str, int], alarms: Sequence[str]) -> None:
        """Raises httpx.HTTPError or InfrastructureUnavailable if a service does not respond."""
        is_first = self._early.is_awaited
        self._enter(promises.DEAD, promises.of_dead(dead))
        self._enter(promises.BROKER, promises.of_broker(alarms))
        async with aclosing(self._lists.read("/stock")) as shelves:
            self._enter(promises.SHELVES, [each async for shelf in shelves for each in promises.of_shelf(shelf)])
        self._rules = await self._lists.rules()
        if is_first and self._since is None:
            await self._look_at_open()
        views = self._lists.all() if self._since is None else self._lists.recent(self._since)
        async with aclosing(views) as found:
            async for order_id, each in found:
                if self._since is None:
                    self._pieces.count(each)
                self.orders += each.order is not None
                self._look_at(order_id, await self._lists.dated(order_id, each))
        if self._since is not None:
            async with aclosing(self._lists.read("/reservations", status="held")) as held:
                async for reservation in held:
                    self._pieces.hold(reservation)
        async with aclosing(self._lists.read("/stock")) as shelves:
            async for shelf in shelves:
                self._besides.enter(promises.of_held(shelf, self._pieces))
                if self._since is None:
                    self._besides.enter(promises.of_sold(shelf, self._pieces, self._rules))

    def _enter(self, promise: str, broken: Iterable[tuple[str, str]]) -> None:
        if not self._besides.enter(self._early.broken(iter(broken))):
            self._early.holds(promise)

    async def _look_at_open(self) -> None:
        """Report early violations of the first orders that are not at rest. The full pass counts them later."""
        async with aclosing(self._lists.open()) as found:
            count = 0
            async for order_id, views in found:
                for _ in self._early.broken(promises.of_order(order_id, views, self._rules)):
                    pass
                count += 1
                if count == _EARLY_ORDERS_MAX:
                    break

    async def look_again(self) -> None:
        """Check the orders with violations again: their messages may have been in flight."""
        suspects, self._suspects, self._by_order = self._suspects, [], BrokenPromises()
        async with aclosing(self._lists.each(suspects)) as found:
            async for order_id, views in found:
                self._look_at(order_id, await self._lists.dated(order_id, views))

    @property
    def can_look_again(self) -> bool:
        return 0 < len(self._suspects) < _SUSPECTS_MAX

    def _look_at(self, order_id: str, views: Views) -> None:
        broken = self._early.broken(promises.of_order(order_id, views, self._rules))
        if self._by_order.enter(broken) and len(self._suspects) < _SUSPECTS_MAX:
            self._suspects.append(order_id)
        self._on_progress(self)


class Lists:
    """What the services return about orders: all orders, recent ones, or given ones."""

    def __init__(self, http: httpx.AsyncClient, addresses: Mapping[str, str]) -> None:
        self._http, self._addresses = http, addresses
        self._has_ledger: bool | None = None

    def read(self, path: str, **which: str) -> AsyncGenerator[Json, None]:
        """All items of a list, in ascending order of their keys."""
        return pages(self._http, f"{self._addresses[_LISTS[path]]}{path}", **which)

    async def rules(self) -> Rules:
        return await rules_of(self._http, self._addresses)

    async def dated(self, order_id: str, views: Views) -> Views:
        """Add the time of the confirmation, if that is needed to tell whether the payment may have expired."""
        if views.payment or not views.order or views.order["status"] != "dispatched":
            return views
        return replace(views, confirmed_at=await confirmed_at(self._http, self._addresses["order_svc"], order_id))

    async def all(self) -> AsyncGenerator[tuple[str, Views], None]:
        """All orders, and everything else with an order's id."""
        lists = {path: self.read(path, **_OLDEST_FIRST.get(path, {})) for path in await self._of_orders()}
        async with aclosing(joined(lists, _order_of)) as orders:
            async for order_id, found in orders:
                yield order_id, self._views(found)

    async def recent(self, since: datetime) -> AsyncGenerator[tuple[str, Views], None]:
        """Orders not at rest or changed since. Raises InfrastructureUnavailable if a service does not respond."""
        reader = Reader(self._http, self._addresses, ())
        for subjects in (reader.open(), reader.changed(since)):
            async with aclosing(self._of(subjects)) as found:
                async for each in found:
                    yield each
        _raise_if_silent(reader)

    async def open(self) -> AsyncGenerator[tuple[str, Views], None]:
        """Orders that are not at rest."""
        reader = Reader(self._http, self._addresses, ())
        async with aclosing(self._of(reader.open())) as found:
            async for each in found:
                yield each
        _raise_if_silent(reader)

    async def _of(self, subjects: AsyncGenerator[str, None]) -> AsyncGenerator[tuple[str, Views], None]:
        async with aclosing(batched(subjects, _AT_ONCE)) as batches:
            async for ids in batches:
                async with aclosing(self.each(ids)) as found:
                    async for each in found:
                        yield each

    async def each(self, order_ids: Sequence[str]) -> AsyncGenerator[tuple[str, Views], None]:
        for start in range(0, len(order_ids), _AT_ONCE):
            ids = order_ids[start : start + _AT_ONCE]
            for order_id, views in zip(ids, await asyncio.gather(*map(self._one, ids)), strict=True):
                yield order_id, views

    async def _one(self, order_id: str) -> Views:
        paths = [path for path in await self._of_orders() if path in _ONE]
        answers = await asyncio.gather(*(self._get(path, f"{path}/{order_id}") for path in paths))
        found = {path: [answer] if answer else [] for path, answer in zip(paths, answers, strict=True)}
        mails = await self._get("/mails", "/mails", about=order_id, limit="100")
        found["/mails"] = mails["items"] if mails else []
        if self._has_ledger:
            ledger = await self._get("/provider/ledger", "/provider/ledger", after=f"{order_id}:", limit="100")
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
        return [path for path in _LISTS if path != "/stock" and (self._has_ledger or path != "/provider/ledger")]

    async def _get(self, list_: str, path: str, **which: str) -> Json | None:
        """None if it does not exist."""
        url = f"{self._addresses[_LISTS[list_]]}{path}"
        answer = await self._http.get(url, params=which, timeout=_ANSWER_S_MAX)
        if answer.status_code in (404, 422):  # a key that is not an order id belongs to no order
            return None
        found: Json = answer.raise_for_status().json()
        return found


async def settled(
    http: httpx.AsyncClient,
    addresses: Mapping[str, str],
    dead: Dead,
    *,
    wait_s: float,
    alarms: Alarms = no_alarms,
    since: datetime | None = None,
    on_progress: OnProgress = lambda audit: None,
    on_early: OnEarly | None = None,
) -> list[Finding]:
    """Audit until everything holds or `wait_s` is over: messages take time to arrive. Returns the last findings."""
    clock = asyncio.get_running_loop().time
    early = Early(on_early)
    end = clock() + wait_s
    while True:
        began = clock()
        audit = Examination(http, addresses, since=since, early=early, on_progress=on_progress)
        await audit.run(*await asyncio.gather(dead(), alarms()))
        if not audit.broken or clock() > end or clock() - began > _REPEATED_S:
            break
        await asyncio.sleep(_AGAIN_S)
    end = max(end, clock() + wait_s if clock() - began > _REPEATED_S else end)
    while audit.can_look_again and clock() < end:
        await asyncio.sleep(_AGAIN_S)
        await audit.look_again()
    return audit.findings


async def pages(http: httpx.AsyncClient, url: str, **which: str) -> AsyncGenerator[Json, None]:
    """All items of a list. Raises httpx.HTTPError if its service does not respond."""
    after = ""
    first = True
    sizes = growing(PAGE)

    async def page(last: Json | None) -> list[Json]:
        nonlocal after, first
        if not first and not after:
            return []
        first = False
        query = {"limit": str(next(sizes)), **which, **({"after": after} if after else {})}
        answer = await http.get(url, params=query, timeout=_ANSWER_S_MAX)
        found = answer.raise_for_status().json()
        after = found["next"] or ""
        items: list[Json] = found["items"]
        return items

    async with aclosing(read_ahead(page)) as items:
        async for item in items:
            yield item


def _raise_if_silent(reader: Reader) -> None:
    if reader.silent:
        [(service, why), *_] = reader.silent.items()
        raise InfrastructureUnavailable(
            f"{service} did not return its open orders: {why}", f"check its log and its database; {STARTS}"
        )


def _order_of(path: str, item: Json) -> str:
    return str(item["order_id"] if path in _ONE else item["key"]).partition(":")[0]

"""`journey doctor`: checks the invariants across all services through their HTTP APIs.

The lists of all services are read in parallel, sorted by order id, one page of each at a time. So an audit of
a million orders takes minutes and little memory. A `recent` audit checks only orders that are not at rest or
changed recently; it skips what only the sum over all orders can show. Both report first what is quick to
check: dead letters, alarms, stock, and then the first orders that are not at rest.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

import httpx

from journey.admin.diagnosis import promises, returns
from journey.admin.diagnosis.order_lists import Lists
from journey.admin.diagnosis.promises import BrokenPromises, Early, Finding, OnEarly, Pieces, Views

_SUSPECTS_MAX = 1_000
_EARLY_ORDERS_MAX = 100
_AGAIN_S = 0.5
_REPEATED_S = 5.0  # a longer audit is not repeated: only its suspects are checked again
_EXPIRED = (
    "older orders may have expired, so the stock may count more pieces as sold than the remaining orders"
)
_OUTSIDE = (
    "refunds of goods only, settled outside: {count}, e.g. of order {order}; no money moved here: give it "
    "back outside. Whether the customer has it is not checked"
)
_LEFT_OUT = "sold pieces are not compared with all orders; run `journey doctor` without --recent"

Dead = Callable[[], Awaitable[Mapping[str, int]]]
Alarms = Callable[[], Awaitable[Sequence[str]]]
OnProgress = Callable[["Examination"], None]


async def no_alarms() -> Sequence[str]:
    """For brokers whose alarms are not checked."""
    return ()


class Examination:
    """One pass over all services.

    `orders`: number of orders checked; `broken`: number of violations found so far.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        addresses: Mapping[str, str],
        *,
        since: datetime | None,
        early: Early,
        on_progress: OnProgress,
    ) -> None:
        self._lists = Lists(http, addresses)
        self._since = since
        self._early = early
        self._on_progress = on_progress
        self._pieces = Pieces()
        self._by_order = BrokenPromises()
        self._besides = BrokenPromises()
        self._suspects: list[str] = []
        self._goods_only = Counter[str]()  # order id -> refunds of which staff give the money back outside
        self._rules = promises.KEPT_FOR_EVER
        self.orders = 0

    @property
    def broken(self) -> int:
        return self._by_order.counts.total() + self._besides.counts.total()

    @property
    def findings(self) -> list[Finding]:
        left_out = (
            _LEFT_OUT if self._since is not None else _EXPIRED if self._rules.any_gone("orders") else ""
        )
        outside = ""
        if self._goods_only:
            outside = _OUTSIDE.format(count=self._goods_only.total(), order=min(self._goods_only))
        return promises.findings(
            self._besides, self._by_order, {promises.STOCK: left_out, promises.MONEY: outside}
        )

    async def run(self, dead: Mapping[str, int], alarms: Sequence[str]) -> None:
        """Raises httpx.HTTPError or InfrastructureUnavailable if a service does not respond."""
        is_first = self._early.is_awaited
        self._enter(promises.DEAD, promises.of_dead(dead))
        self._enter(promises.BROKER, promises.of_broker(alarms))
        async with aclosing(self._lists.read("/stock")) as shelves:
            self._enter(
                promises.SHELVES, [each async for shelf in shelves for each in promises.of_shelf(shelf)]
            )
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
        """Report early violations of the first orders that are not at rest.

        The full pass counts them later.
        """
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
        if views.order is not None and (goods_only := returns.goods_only(views.order)):
            self._goods_only[order_id] = len(goods_only)
        if self._by_order.enter(broken) and len(self._suspects) < _SUSPECTS_MAX:
            self._suspects.append(order_id)
        self._on_progress(self)


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
    """Audit until everything holds or `wait_s` is over: messages take time to arrive.

    Returns the last findings.
    """
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

"""The invariants across all services, checked order by order. Pure functions."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from contracts import order_saga
from contracts.http.inventory import ReservationStatus
from contracts.http.orders import OrderStatus
from contracts.http.payments import PaymentStatus
from journey.admin.diagnosis import books, returns
from journey.admin.diagnosis.books import CANCELLED, CONFIRMED
from journey.admin.diagnosis.expired import Rules

Json = dict[str, Any]
KEPT_FOR_EVER = Rules()
_TAKEN: Set[str] = frozenset({ReservationStatus.COMMITTED, ReservationStatus.DISPATCHED})
_UNDONE_GOODS: Set[str] = frozenset(
    {"", ReservationStatus.NEW, ReservationStatus.REJECTED, ReservationStatus.RELEASED}
)
_OPEN_OR_TAKEN: Set[str] = frozenset(
    {PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURING, PaymentStatus.CAPTURED}
)
# What an order of each status may have once it is at rest; "" if its service does not know the order, because
# it was rejected, or cancelled before it was placed. A test compares it with the deciders.
_GOODS = dict.fromkeys(CONFIRMED, _TAKEN) | dict.fromkeys(CANCELLED, _UNDONE_GOODS)
_MAILS = {
    str(status): order_saga.MAILS[event]
    for event, status in order_saga.STATUSES.items()
    if event in order_saga.MAILS
}
_SHOWN_MAX = 100
_EARLY_MAX = 5  # per invariant

AT_REST = "every order is at rest"
SHELVES = "per article: available + reserved + sold = received, none below 0"
STOCK = "stock agrees with the orders: sold for confirmed ones, nothing for the others"
HELD = "per article: what is reserved is held by reservations"
MONEY = "money agrees with the orders: captured for confirmed ones, refunded or not taken for the others"
LEDGER = "the card provider's ledger agrees with our payments, one effect per key"
MAILS = "one mail per order and kind"
DEAD = "no dead letters"
BROKER = "the broker takes messages"
PROMISES = (AT_REST, SHELVES, STOCK, HELD, MONEY, LEDGER, MAILS, DEAD, BROKER)


@dataclass(frozen=True)
class Views:
    """One order, as each service shows it. `ledger` is None if the card provider does not expose it."""

    order: Json | None = None
    reservation: Json | None = None
    payment: Json | None = None
    ledger: Sequence[Json] | None = ()
    mails: Sequence[Json] = ()
    confirmed_at: str | None = None  # read only if the order's `changed_at` is not enough


@dataclass(frozen=True)
class Finding:
    """One invariant and its first violations, of `count`. `left_out`: what was not checked."""

    promise: str
    broken: tuple[str, ...]
    count: int
    left_out: str = ""

    @property
    def holds(self) -> bool:
        return not self.count


Broken = Iterator[tuple[str, str]]
"""An invariant, and a violation of it."""

OnEarly = Callable[[str, str], None]
"""An invariant, and a violation or nothing if it holds. Messages may be in flight: the findings decide."""


def of_order(order_id: str, views: Views, rules: Rules = KEPT_FOR_EVER) -> Broken:
    """The violations of one order. Documents that may have expired are not missed."""
    if (order := views.order) is None:
        yield from _without_order(order_id, views, rules)
        return
    status, changed_at = order["status"], order.get("changed_at")
    if status == OrderStatus.PLACED:
        yield AT_REST, f"order {order_id} still awaits {' and '.join(order['awaits'])}"
    if (
        views.reservation
        or status != OrderStatus.DISPATCHED
        or not rules.may_be_gone("reservations", changed_at)
    ):
        yield from ((STOCK, sentence) for sentence in _goods(order_id, status, _status(views.reservation)))
        yield from ((STOCK, sentence) for sentence in returns.of_goods(order_id, order, views.reservation))
    payment = views.payment or None
    if payment is None and not rules.may_be_gone("payments", views.confirmed_at or changed_at):
        payment = {}
    if payment is not None:
        yield from ((MONEY, sentence) for sentence in books.of_payment(order_id, status, payment))
        yield from ((MONEY, sentence) for sentence in returns.of_money(order_id, order, payment))
    if views.ledger is not None:
        sentences = books.of_ledger(order_id, order, payment, views.ledger)
        yield from ((LEDGER, sentence) for sentence in sentences)
    if not rules.may_be_gone("mails", changed_at):
        yield from ((MAILS, sentence) for sentence in _mails(order_id, status, views.mails))


def _without_order(order_id: str, views: Views, rules: Rules) -> Broken:
    """Goods and money of an order that order_svc does not know.

    Only an ended order can have expired there.
    """
    goods, payment = _status(views.reservation), _status(views.payment)
    if goods in (ReservationStatus.HELD, ReservationStatus.COMMITTED):
        yield STOCK, f"order {order_id} is unknown to order_svc, but its goods are {goods}"
    may_have_ended = payment == PaymentStatus.CAPTURED and rules.may_be_gone(
        "orders", (views.payment or {}).get("changed_at")
    )
    if payment in _OPEN_OR_TAKEN and not may_have_ended:
        yield MONEY, f"order {order_id} is unknown to order_svc, but its payment is {payment}"


def _status(view: Json | None) -> str:
    return str((view or {}).get("status", ""))


def _goods(order_id: str, status: str, goods: str) -> Iterator[str]:
    if goods in _GOODS.get(status, {goods}):
        return
    if status in CONFIRMED:
        yield f"order {order_id} is {status}, its goods are {goods or 'unknown'}"
    else:
        yield f"order {order_id} is {status}, but its goods are {goods}"


def _mails(order_id: str, status: str, mails: Sequence[Json]) -> Iterator[str]:
    sent = {mail["kind"]: mail["status"] for mail in mails}
    if (kind := _MAILS.get(status)) and sent.get(kind) not in ("sent", "undeliverable"):
        yield f"order {order_id}: the mail {kind} is {sent.get(kind, 'not even queued')}"
    for mail in mails:
        newer = mail.get("superseded_by")
        if mail["status"] == "superseded" and sent.get(newer) not in ("sent", "undeliverable"):
            became = sent.get(newer, "unknown")
            yield f"order {order_id}: the mail {mail['kind']} was superseded by {newer}, which is {became}"


@dataclass
class Pieces:
    """Pieces of each article: sold by orders, and held by reservations."""

    sold: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)

    def count(self, views: Views) -> None:
        goods = _status(views.reservation)
        if views.order is not None:
            status = views.order["status"]
            # An order that needs attention keeps its goods until an operator has settled it.
            if status in CONFIRMED or (status == OrderStatus.NEEDS_ATTENTION and goods in _TAKEN):
                self.sold.update(returns.by_sku(views.order["lines"]))
                self.sold.subtract(returns.returned_pieces(views.order))
        if views.reservation is not None:
            self.hold(views.reservation)

    def hold(self, reservation: Json) -> None:
        if reservation["status"] == ReservationStatus.HELD:
            self.held.update(returns.by_sku(reservation["lines"]))


def of_shelf(shelf: Json) -> Broken:
    parts = (shelf["available"], shelf["reserved"], shelf["sold"])
    if min(parts) < 0 or sum(parts) != shelf["received"]:
        yield SHELVES, f"{shelf['sku']}: {shelf}"


def of_sold(shelf: Json, pieces: Pieces, rules: Rules = KEPT_FOR_EVER) -> Broken:
    """Pieces of an expired order stay sold."""
    sku = shelf["sku"]
    if shelf["sold"] < pieces.sold[sku] or (
        shelf["sold"] > pieces.sold[sku] and not rules.any_gone("orders")
    ):
        yield STOCK, f"{sku}: {shelf['sold']} sold, but confirmed orders took {pieces.sold[sku]}"


def of_held(shelf: Json, pieces: Pieces) -> Broken:
    sku = shelf["sku"]
    if shelf["reserved"] != pieces.held[sku]:
        yield HELD, f"{sku}: {shelf['reserved']} reserved, but reservations hold {pieces.held[sku]}"


def of_dead(dead: Mapping[str, int]) -> Broken:
    for queue, count in dead.items():
        if count:
            yield DEAD, f"{queue} holds {count}"


def of_broker(alarms: Sequence[str]) -> Broken:
    for alarm in alarms:
        yield (
            BROKER,
            f"publishers are blocked: {alarm}; free memory or disk space on the broker (`rabbitmqctl "
            "status`)",
        )


@dataclass
class BrokenPromises:
    """Keeps the first violations of each invariant, and counts all."""

    broken: dict[str, list[str]] = field(default_factory=lambda: {promise: [] for promise in PROMISES})
    counts: Counter[str] = field(default_factory=Counter)

    def enter(self, broken: Broken) -> bool:
        """Returns whether there was any."""
        before = self.counts.total()
        for promise, sentence in broken:
            self.counts[promise] += 1
            if len(self.broken[promise]) < _SHOWN_MAX:
                self.broken[promise].append(sentence)
        return self.counts.total() > before


class Early:
    """Reports each of the first results once, even if the audit is repeated."""

    def __init__(self, report: OnEarly | None) -> None:
        self._report = report
        self._reported: dict[str, set[str]] = {}

    @property
    def is_awaited(self) -> bool:
        """Whether early results are wanted, and none has been reported yet."""
        return self._report is not None and not self._reported

    def broken(self, broken: Broken) -> Broken:
        """Yields the violations and reports them."""
        for promise, sentence in broken:
            self._announce(promise, sentence)
            yield promise, sentence

    def holds(self, promise: str) -> None:
        if promise not in self._reported:
            self._announce(promise, "")

    def _announce(self, promise: str, sentence: str) -> None:
        reported = self._reported.setdefault(promise, set())
        if sentence not in reported and len(reported) < _EARLY_MAX:
            reported.add(sentence)
            if self._report is not None:
                self._report(promise, sentence)


def findings(first: BrokenPromises, then: BrokenPromises, left_out: Mapping[str, str]) -> list[Finding]:
    """`left_out`: invariant -> what was not checked."""
    return [
        Finding(
            promise,
            tuple((first.broken[promise] + then.broken[promise])[:_SHOWN_MAX]),
            first.counts[promise] + then.counts[promise],
            left_out.get(promise, ""),
        )
        for promise in PROMISES
    ]

"""The invariants: some are checked at every write and every message, others when the shop is at rest.

Long because every invariant has its entry here.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from chassis.bus.retry_ladder import DEAD
from chassis.core.retry import RETURNS_MAX
from chassis.messaging.envelope import Envelope, WireMessage
from chassis.store.protocol import Change
from contracts import inventory, orders, payments
from contracts.catalog import NAMES
from contracts.http.inventory import CorrectionStatus
from contracts.http.orders import BOOKED, OrderStatus, RefundStatus
from contracts.notifications import MailKind
from contracts.orders import CancellationRefused, DeadlinePassed, DispatchRefused, PlacementRefused
from contracts.values import ReturnTo
from journey.admin.diagnosis.promises import LEDGER, MONEY
from payment_svc.ledger import Outcome
from tests.simulation.scenarios import PIECES, RARE
from tests.simulation.world import CLIENT, OPERATOR, World
from tests.support import in_memory_doctor

# Copies of one message while a service dies over another one: a few, before that one is suspect.
COPIES_MAX = 5
# Refusals that need not be stored, because they are reproducible. All copies are still checked to be equal.
_UNREMEMBERED = {contract.TYPE for contract in (CancellationRefused, DispatchRefused, PlacementRefused)}
# Events that no repetition of a command causes again, under whatever message id: at most one for each subject
# and these fields.
_ONCE: dict[str, tuple[str, ...]] = {
    orders.OrderPlaced.TYPE: (),
    orders.OrderRejected.TYPE: (),
    orders.OrderConfirmed.TYPE: (),
    orders.OrderCancelled.TYPE: (),
    orders.OrderDispatched.TYPE: (),
    orders.RefundRequested.TYPE: ("refund_id",),
    orders.GoodsReturned.TYPE: ("refund_id",),
    orders.TrackingRecorded.TYPE: ("tracking",),
    inventory.StockReserved.TYPE: (),
    inventory.StockRejected.TYPE: (),
    inventory.StockReceived.TYPE: (),
    inventory.StockCorrected.TYPE: (),
    inventory.CorrectionRefused.TYPE: (),
    inventory.StockReturned.TYPE: ("refund_id",),
    payments.PaymentAuthorized.TYPE: (),
    payments.PaymentCaptured.TYPE: (),
    payments.PaymentVoided.TYPE: (),
    payments.PaymentRefunded.TYPE: (),
    payments.PaymentPartRefunded.TYPE: ("refund_id",),
}
# The allowed transitions of an order; all others break an invariant. A cancelled or rejected order stays so.
_TRANSITIONS: dict[str, set[str]] = {
    OrderStatus.NEW: set(OrderStatus),
    OrderStatus.PLACED: {OrderStatus.CONFIRMED, OrderStatus.CANCELLED},
    OrderStatus.CONFIRMED: {OrderStatus.DISPATCHED, OrderStatus.CANCELLED, OrderStatus.NEEDS_ATTENTION},
    OrderStatus.DISPATCHED: {OrderStatus.NEEDS_ATTENTION},
    OrderStatus.NEEDS_ATTENTION: {OrderStatus.CANCELLED, OrderStatus.CONFIRMED, OrderStatus.DISPATCHED},
    OrderStatus.CANCELLED: set(),
    OrderStatus.REJECTED: set(),
}


class Monitor:
    """Observes every final write and every message that the broker accepted."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.forged: set[str | None] = set()  # ids of messages that a stranger has sent
        self._statuses: dict[str, str] = {}
        self.confirmed: set[str] = set()  # all orders that were ever confirmed
        self._written: set[str] = set()  # ids of all messages of stored decisions
        self.copies: Counter[str] = Counter()
        self._emitted: dict[str, tuple[Any, ...]] = {}
        self._ids: dict[tuple[Any, ...], str] = {}
        self._once: dict[tuple[str, ...], str] = {}  # the id of each event of _ONCE
        self.settled_outside: set[str] = set()  # ids of refunds of which staff give the money back outside
        self._tracking: dict[tuple[str, str], str] = {}  # order, reference -> when staff sent it last

    def saved(self, service: str, change: Change) -> None:
        self._written |= {envelope.id for handled in change.handled for envelope in handled.emits}
        state, kind = change.state, change.loaded.kind
        for handled in change.handled:
            if handled.message_id in self.forged:
                self.broken.append(f"{service} did what a stranger had forged: {handled.type}")
            self._require_once(service, handled.emits)
        if kind == "shelves":
            parts = (state["available"], state["reserved"], state["sold"])
            if min(parts) < 0 or sum(parts) != state["received"]:
                self.broken.append(f"pieces of {state['sku']} appeared or vanished: {state}")
        if kind == "orders":
            self._require_newer_tracking(change)
            for before, after in (handled.status for handled in change.handled):
                was = self._statuses.get(change.loaded.key, OrderStatus.NEW)
                if before != was or (after != before and after not in _TRANSITIONS[before]):
                    self.broken.append(f"an order that was {was} became {after}, by a step from {before}")
                self._statuses[change.loaded.key] = after
                if after == OrderStatus.CONFIRMED:
                    self.confirmed.add(change.loaded.key)

    def _require_newer_tracking(self, change: Change) -> None:
        before, after = (
            self._tracking.get((change.loaded.key, (state or {}).get("tracking", "")), "")
            for state in (change.loaded.state, change.state)
        )
        if after < before:
            self.broken.append("a tracking reference was replaced by one that was sent before it")

    def _require_once(self, service: str, envelopes: Sequence[Envelope]) -> None:
        for envelope in (each for each in envelopes if each.type in _ONCE):
            body = json.loads(envelope.body)
            thing = (envelope.type, envelope.subject, *(body[field] for field in _ONCE[envelope.type]))
            if self._once.setdefault(thing, envelope.id) != envelope.id:
                self.broken.append(f"{service} decided on {envelope.type} of {envelope.subject} twice")

    def routed(self, wire_message: WireMessage) -> None:
        if wire_message.exchange not in (NAMES.commands, NAMES.events):
            return
        id_ = wire_message.message_id or ""
        if wire_message.type == orders.RecordTracking.TYPE and id_ not in self.forged:
            sent = (str(wire_message.headers["subject"]), json.loads(wire_message.body)["tracking"])
            self._tracking[sent] = max(self._tracking.get(sent, ""), str(wire_message.headers["time"]))
        if wire_message.type == payments.RefundRefused.TYPE and id_ not in self.forged:
            refused = json.loads(wire_message.body)
            self.settled_outside |= {refused["refund_id"]} if refused["settled_outside"] else set()
        headers = {
            key: wire_message.headers.get(key) for key in ("subject", "time", "causation_id", "traceparent")
        }
        copy = (
            wire_message.type,
            wire_message.body,
            wire_message.app_id,
            wire_message.correlation_id,
            headers,
        )
        if self._emitted.setdefault(id_, copy) != copy:
            self.broken.append(f"two copies of one {wire_message.type} differ: {id_}")
        self.copies[id_] += 1
        if wire_message.type == PlacementRefused.TYPE:  # all repeated orders here equal the first one
            self.broken.append(f"{headers['subject']} was refused as another order, although it is the same")
        thing = (wire_message.app_id, headers["causation_id"] or headers["subject"], wire_message.type)
        if wire_message.user_id not in (CLIENT, OPERATOR) and self._ids.setdefault(thing, id_) != id_:
            self.broken.append(f"{wire_message.app_id} said {wire_message.type} twice, under two ids")

    def status(self, order: str) -> str:
        return self._statuses.get(order, OrderStatus.NEW)

    def emitted_without_a_cause(self) -> Iterator[str]:
        for id_, (type_, _, source, *_) in self._emitted.items():
            from_outside = source in (CLIENT, OPERATOR) or type_ == DeadlinePassed.TYPE
            if id_ not in self._written and not from_outside and type_ not in _UNREMEMBERED:
                yield f"{source} said {type_}, but nothing it has stored says so"


def at_rest(world: World) -> Iterator[str]:
    """Every broken invariant when the shop is at rest."""
    yield from world.monitor.emitted_without_a_cause()
    seen = _as_the_doctor_sees(world)
    for finding in in_memory_doctor.examine(seen):
        yield from (sentence for sentence in finding.broken if not _differs(world, finding.promise, sentence))
    yield from _card(world)
    yield from _as_ordered(world)
    yield from _reported_differences(world)
    yield from _fatal(world)
    yield from _mails(world)
    yield from _catalogue(world)
    yield from _counted(world)
    yield from _given_back_outside(world)
    yield from _welcomed(world)
    yield from _erased(world)


def _as_the_doctor_sees(world: World) -> in_memory_doctor.World:
    disks = {name: disk.everything() for name, disk in world.disks.items()}
    orders = {
        key: state for key, state in disks["order_svc"].get("orders", {}).items() if state["status"] != "new"
    }
    inventory, payments = disks["inventory_svc"], disks["payment_svc"]
    return in_memory_doctor.World(
        orders={key: {"order_id": key, "awaits": ["news"], **state} for key, state in orders.items()},
        shelves=list(inventory.get("shelves", {}).values()),
        reservations=inventory.get("reservations", {}),
        payments=payments.get("payments", {}),
        ledger=[
            {"key": key, "outcome": entry.outcome, "amount": entry.amount.model_dump()}
            for key, entry in world.provider.book.items()
        ],
        mails=list(disks["notification_svc"].get("mails", {}).values()),
        dead={f"{name}.{DEAD}": len(world.broker.dead(name)) for name in world.disks},
    )


def _card(world: World) -> Iterator[str]:
    held = [
        (key.partition(":")[0], e)
        for key, e in world.provider.book.items()
        if e.outcome is Outcome.AUTHORIZED
    ]
    for order, times in Counter(order for order, _ in held).items():
        if times > 1:
            yield f"the card of {world.name(order)} was authorised {times} times"
    for order, entry in held:
        if (
            not entry.voided
            and not entry.captured_minor
            and world.monitor.status(order) == OrderStatus.CANCELLED
        ):
            yield f"{world.name(order)} is cancelled, but money is still set aside on its card"


def _differs(world: World, promise: str, sentence: str) -> bool:
    """Whether the provider did something other than requested for this order:
    then the doctor's finding is correct.
    """
    orders = {key.partition(":")[0] for key in world.provider.differs}
    return promise in (MONEY, LEDGER) and any(order in sentence for order in orders)


def _as_ordered(world: World) -> Iterator[str]:
    """No order is confirmed if the provider authorised another amount or currency."""
    for order in world.monitor.confirmed:
        total = world.disks["order_svc"].everything()["orders"][order]["total"]
        entry = world.provider.book.get(f"{order}:authorize")
        if entry is not None and entry.amount.model_dump() != total:
            yield f"{world.name(order)} was confirmed, though {entry.amount} were authorised"


def _reported_differences(world: World) -> Iterator[str]:
    """Where the provider did something other than requested, staff can see what."""
    payments = world.disks["payment_svc"].everything().get("payments", {})
    for order in {key.partition(":")[0] for key in world.provider.differs}:
        if not payments[order]["detail"]:
            yield f"the provider did something else for {world.name(order)}, and its payment does not say so"


def _fatal(world: World) -> Iterator[str]:
    """A message that kills its service is given up after some deaths,
    and each death republishes little else.
    """
    for order, deaths in world.deaths.items():
        if deaths > RETURNS_MAX:
            yield f"{deaths} deaths over {world.name(order)}"
    healthy = [times for journey, times in world.broker.came_back.items() if journey not in world.fatal]
    if world.deaths and (times := max(healthy)) > RETURNS_MAX // 2:
        yield f"a message came back {times} times, though no service dies over it"
    if world.deaths and (copies := max(world.monitor.copies.values())) > COPIES_MAX:
        yield f"{copies} copies of one message"


def _mails(world: World) -> Iterator[str]:
    """One mail each. SMTP has no idempotency keys, so a fault at notification_svc may cost a copy."""
    excuses = sum(fault.fault_point.who.startswith("notification_svc") for fault in world.plan.struck)
    excuses += world.taken_down["notification_svc"]
    for (about, kind), copies in world.post.taken.items():
        if copies > 1 + excuses:
            yield f"{copies} mails {kind} about {world.name(about)}"


def _catalogue(world: World) -> Iterator[str]:
    """order_svc has the price of every product that product_svc lists."""
    products = (
        world.disks["product_svc"].everything().get("products", {}) if "product_svc" in world.disks else {}
    )
    prices = world.disks["order_svc"].everything().get("prices", {})
    for sku, product in products.items():
        if product["status"] == "listed" and prices.get(sku, {}).get("money") != product["price"]:
            yield f"order_svc has a wrong price for {sku}"


def _counted(world: World) -> Iterator[str]:
    """Every receipt, correction and write-off counts once, also beside orders for the last piece."""
    inventory = world.disks["inventory_svc"].everything()
    expected = Counter(PIECES)
    expected[RARE] += sum(receipt["counted"] for receipt in inventory.get("receipts", {}).values())
    for correction in inventory.get("corrections", {}).values():
        if correction["status"] == CorrectionStatus.APPLIED:
            expected[correction["sku"]] += correction["change"]
    for order in world.disks["order_svc"].everything().get("orders", {}).values():
        for refund in order["refunds"]:
            for line in refund["returned"] if refund["status"] in BOOKED else ():
                expected[line["sku"]] -= line["quantity"] if line["to"] == ReturnTo.WRITTEN_OFF else 0
    for sku, shelf in inventory.get("shelves", {}).items():
        if shelf["received"] != expected[sku]:
            yield f"{sku}: {shelf['received']} received, but {expected[sku]} were delivered and corrected"


def _given_back_outside(world: World) -> Iterator[str]:
    """A refund of a payment that was settled outside books its goods, and moves no money here. The doctor
    compares what is booked.
    """
    for key, order in world.disks["order_svc"].everything().get("orders", {}).items():
        for refund in order["refunds"]:
            id_ = refund["refund_id"]
            is_outside = id_ in world.monitor.settled_outside
            if (refund["status"] == RefundStatus.GOODS_ONLY) != (is_outside and bool(refund["returned"])):
                yield f"a refund of {world.name(key)} is {refund['status']}, settled outside: {is_outside}"
            if is_outside and f"{key}:part:{id_}" in world.provider.book:
                yield f"the card provider refunded what was settled outside for {world.name(key)}"
            if is_outside and world.post.taken[key, f"{MailKind.PAYMENT_REFUNDED}:{id_}"]:
                yield f"a mail says that {world.name(key)} is refunded, but it is settled outside"


def _welcomed(world: World) -> Iterator[str]:
    """Every new user got a mail, even if the service died between the write and the event."""
    for user_id in world.registered:
        if not world.post.taken[user_id, MailKind.USER_REGISTERED]:
            yield f"{world.name(user_id)} never had a mail about the new account"


def _erased(world: World) -> Iterator[str]:
    """No database and no queue contains the address of an erased user."""
    for address in world.erased:
        for name, disk in world.disks.items():
            if address in repr(disk.documents()):
                yield f"{name} still stores an erased address"
        for queue, waiting in world.broker.queues.items():
            if any(
                address.encode() in wire_message.body or address in repr(wire_message.headers)
                for wire_message in waiting
            ):
                yield f"{queue} still holds an erased address"

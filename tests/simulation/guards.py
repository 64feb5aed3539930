"""Every guard of the system, and how to disable it. The simulation must notice each missing one.

A guard whose absence nothing notices is either unnecessary or untested. Long because every guard has its
entry here.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import chassis.bus.rabbitmq_subscription
import chassis.core.deadline
import chassis.core.retry
import chassis.core.working_copy
import chassis.runtime
import chassis.store.cached
import order_svc.order
import order_svc.refunds
import payment_svc.decider
import payment_svc.partial_refunds
import payment_svc.provider
import payment_svc.resolution
from chassis.bus.memory import MemoryStore
from chassis.bus.protocol import BusUnavailable, Unroutable
from chassis.core.decision import UNKNOWN_TIME, Context, Decision
from chassis.core.definition import ServiceDefinition
from chassis.core.inbox import Inbox
from chassis.core.leases import EffectLeases
from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope, WireMessage
from chassis.messaging.message import Message
from chassis.messaging.origin import ORIGIN_HEADERS, handed_back, why_forged
from contracts import inventory, orders, payments
from contracts.http.inventory import CorrectionStatus
from contracts.http.inventory import ReservationStatus as Goods
from contracts.http.orders import OrderStatus as Order
from contracts.http.payments import PaymentStatus as Payment
from payment_svc import payment as card
from payment_svc.provider_responses import parse_response
from tests.simulation import scenarios, virtual_time
from tests.simulation.external_services import ProviderLine
from tests.simulation.fake_broker import FakeConnection
from tests.simulation.fake_database import Cable, Disk
from tests.simulation.no_cache_mode import reading
from tests.simulation.scenarios import FATAL_MESSAGE
from user_svc.accounts.aggregates import USERS
from user_svc.accounts.user import AccountStatus as Account
from user_svc.accounts.user import Erase

NEVER = 10**9
HAPPY, LATE = "confirmed", "too late"
REFUNDED, VOIDED = "cancelled when captured", "cancelled when authorised"


@dataclass(frozen=True)
class Guard:
    """`scenarios`: those whose single faults reveal it; `days`:
    whether it takes a day on which two things collide.
    """

    name: str
    off: Callable[[], AbstractContextManager[Any]]
    scenarios: tuple[str, ...] = (HAPPY,)
    days: bool = False


# guards of the chassis


async def _handled_unknown(self: Cable, kind: str, keys: Any) -> Any:
    found = await _LOAD(self, kind, keys)
    return {key: replace(loaded, handled=frozenset()) for key, loaded in found.items()}


async def _handled_looked_up_first(self: Cable, kind: str, keys: Any) -> Any:
    before = await self._disk.load(kind, keys)
    found = await _LOAD(self, kind, keys)
    return {key: replace(loaded, handled=before[key].handled) for key, loaded in found.items()}


async def _wrapped_again(self: Cable, kind: str, wanted: Mapping[str, Any]) -> Any:
    emitted = await _EMITTED(self, kind, wanted)
    now = virtual_time.now().isoformat(timespec="microseconds")
    return {
        id_: tuple(replace(envelope, time=now) for envelope in envelopes)
        for id_, envelopes in emitted.items()
    }


async def _nothing_stored(self: Cable, kind: str, wanted: Mapping[str, Any]) -> Any:
    emitted = await _EMITTED(self, kind, wanted)
    return dict.fromkeys(emitted, ())


async def _saved_one_by_one(self: Cable, changes: Any, *, together: bool = False) -> bool:
    return await _SAVE(self, changes)


def _any_version(self: Disk, loaded: Any) -> int:
    _VERSION(self, loaded)
    return int(loaded.version)


def _trusting(error: type[Exception]) -> Callable[..., Any]:
    async def publish(self: FakeConnection, wire_messages: Sequence[Any]) -> list[Exception | None]:
        return [None if isinstance(each, error) else each for each in await _PUBLISH(self, wire_messages)]

    return publish


async def _acknowledged_on_arrival(self: FakeConnection, queue: str, prefetch: int, receive: Any) -> Any:
    def take(delivery: Any) -> None:
        inner = delivery.settle.args[0]  # past the faults of the wire itself
        task = asyncio.ensure_future(inner.ack())
        task.add_done_callback(lambda _: receive(delivery))

    return await _SUBSCRIBE(self, queue, prefetch, take)


async def _asked_under_a_new_key(self: ProviderLine, card_request: Any) -> Any:
    return await _ASK(self, replace(card_request, key=f"{card_request.key}:{uuid4()}"))


async def _never_swept(*_: Any, **__: Any) -> None:
    await asyncio.get_running_loop().create_future()


def _now(_: Envelope) -> str:
    return virtual_time.now().isoformat(timespec="microseconds")


def _gullible(wire_message: WireMessage, contract: type[Message], reader: str, **names: Any) -> str:
    """Accepts everything that the service itself or the operator republishes."""
    return "" if handed_back(wire_message, reader) else why_forged(wire_message, contract, reader, **names)


def _as_claimed(dead_letter: WireMessage, *args: Any, **named: Any) -> WireMessage:
    """Keeps the sender's own origin headers in the dead letter."""
    claims = {name: value for name, value in dead_letter.headers.items() if name in ORIGIN_HEADERS}
    dead = _DEAD_LETTER(dead_letter, *args, **named)
    return replace(dead, headers={**dead.headers, **claims})


_DEAD_LETTER = chassis.core.retry.dead_letter
_LOAD = Cable.load
_EMITTED = Cable.emitted
_SAVE = Cable.save
_PUBLISH = FakeConnection.publish
_SUBSCRIBE = FakeConnection.subscribe
_VERSION = MemoryStore._version
_RETRYABLE = payment_svc.resolution.retryable
_ASK = ProviderLine._ask


def _without(target: Any, name: str, value: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.object(target, name, value)


def _reading(off: Callable[[], AbstractContextManager[Any]]) -> Callable[[], AbstractContextManager[Any]]:
    """Without the aggregate cache: an instance that caches its own writes meets these faults a hundred
    times less often.
    """

    @contextmanager
    def both() -> Iterator[None]:
        with reading(), off():
            yield

    return both


@contextmanager
def _random_ids() -> Iterator[None]:
    with ExitStack() as stack:
        for module in (chassis.core.working_copy, chassis.core.deadline):
            stack.enter_context(patch.object(module, "derived_id", lambda *parts: str(uuid4())))
        yield


# guards of the deciders


def _deaf(service: str, kind: str, status: str, message: type) -> Callable[[], AbstractContextManager[Any]]:
    """The service, except that this message changes nothing in this status, and emits nothing."""

    def decide(known: Any) -> Any:
        def deaf(state: Any, handled_type: Any, context: Context[Any]) -> Any:
            if state.status == status and isinstance(handled_type, message):
                return Decision(state)
            return known(state, handled_type, context)

        return deaf

    return lambda: _changed(service, kind, decide)


def _undone_only_in_name(known: Any) -> Any:
    """The account is marked as erased, but all of its data stays."""

    def decide(state: Any, asked: Any, context: Context[Any]) -> Any:
        decision = known(state, asked, context)
        if isinstance(asked, Erase) and state.status == Account.UNPROVED:
            return Decision(replace(state, status=Account.ERASED), *decision.emits)
        return decision

    return decide


def _returned_early(known: Any) -> Any:
    """Goods that come back before inventory_svc knows of their dispatch are dropped."""

    def decide(state: Any, handled_type: Any, context: Context[Any]) -> Any:
        if isinstance(handled_type, orders.GoodsReturned) and state.status != Goods.DISPATCHED:
            return Decision(state)
        return known(state, handled_type, context)

    return decide


def _released_only_in_name(status: str) -> Any:
    """The reservation is marked as released, but the shelf is not updated."""

    def changed(known: Any) -> Any:
        def decide(state: Any, handled_type: Any, context: Context[Any]) -> Any:
            decision = known(state, handled_type, context)
            if state.status == status and isinstance(handled_type, orders.OrderCancelled):
                return Decision(decision.state, *decision.emits)
            return decision

        return decide

    return lambda: _changed("inventory_svc", "reservations", changed)


def _not_notified_of_cancellation(known: Any) -> Any:
    def decide(state: Any, handled_type: Any, context: Context[Any]) -> Any:
        seen = replace(state, cancelled=False) if isinstance(handled_type, card.CardResult) else state
        return known(seen, handled_type, context)

    return decide


def _each_failure_counts(known: Any) -> Any:
    """Whatever staff have resolved before."""

    def decide(state: Any, handled_type: Any, context: Context[Any]) -> Any:
        failed = isinstance(handled_type, payments.PaymentFailed)
        return known(replace(state, resolved=-1) if failed else state, handled_type, context)

    return decide


def _decided_again(
    service: str, kind: str, message: type, **before: Any
) -> Callable[[], AbstractContextManager[Any]]:
    """The service, except that it decides about a repetition of this command as about the first one.

    `before`: what of the state the first one found.
    """

    def forgetful(known: Any) -> Any:
        def decide(state: Any, handled_type: Any, context: Context[Any]) -> Any:
            seen = replace(state, **before) if isinstance(handled_type, message) else state
            return known(seen, handled_type, context)

        return decide

    return lambda: _changed(service, kind, forgetful)


def _cancelled_again(command: type, status: Order) -> Callable[[], AbstractContextManager[Any]]:
    """A cancelled order is cancelled again; `status`: in which the command cancels it."""

    def forgetful(known: Any) -> Any:
        def decide(order: Any, handled_type: Any, context: Context[Any]) -> Any:
            repeated = isinstance(handled_type, command) and order.status is Order.CANCELLED
            return known(replace(order, status=status) if repeated else order, handled_type, context)

        return decide

    return lambda: _changed("order_svc", "orders", forgetful)


def _dispatched_again(known: Any) -> Any:
    def decide(order: Any, handled_type: Any, context: Context[Any]) -> Any:
        repeated = isinstance(handled_type, orders.DispatchOrder) and order.dispatched
        seen = replace(order, status=Order.CONFIRMED, dispatched=False) if repeated else order
        return known(seen, handled_type, context)

    return decide


def _tracked_as_it_arrives(known: Any) -> Any:
    def decide(order: Any, handled_type: Any, context: Context[Any]) -> Any:
        untimed = isinstance(handled_type, orders.RecordTracking)
        return known(order, handled_type, replace(context, sent_at=UNKNOWN_TIME) if untimed else context)

    return decide


def _retryable_before_it_failed(payment: Any) -> Any:
    return payments.Effect.CAPTURE if payment.status is Payment.CAPTURED else _RETRYABLE(payment)


def _settlements_unknown(known: Any) -> Any:
    """The captured total is refunded, although the card provider does not have it."""

    def decide(state: Any, handled_type: Any, context: Context[Any]) -> Any:
        cancelled = isinstance(handled_type, orders.OrderCancelled)
        return known(replace(state, settlements=()) if cancelled else state, handled_type, context)

    return decide


@contextmanager
def _changed(name: str, kind: str, change: Callable[[Any], Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for services in (scenarios.WHOLE, scenarios.SAGA, scenarios.HURRIED):
            if name in services:
                stack.enter_context(patch.dict(services, {name: _with(services[name], kind, change)}))
        yield


def _with(service: ServiceDefinition, kind: str, change: Callable[[Any], Any]) -> ServiceDefinition:
    aggregates = tuple(
        replace(each, decide=change(each.decide)) if each.kind == kind else each
        for each in service.aggregates
    )
    return replace_aggregates(service, aggregates)


def replace_aggregates(service: ServiceDefinition, aggregates: tuple[Any, ...]) -> ServiceDefinition:
    """The same service with other aggregates; it consumes the same queues."""
    return replace(service, aggregates=aggregates)


GUARDS = (
    Guard("version filter", _without(MemoryStore, "_version", _any_version), days=True),
    Guard("handled check", _without(Cable, "load", _handled_unknown)),
    Guard(
        "handled check after the load", _reading(_without(Cable, "load", _handled_looked_up_first)), days=True
    ),
    Guard("majority read", _reading(_without(Disk, "load", Disk.load_locally))),
    Guard(
        "suspects handled alone",
        _without(chassis.bus.rabbitmq_subscription, "RETURNS_SUSPECT", NEVER),
        (FATAL_MESSAGE.name,),
    ),
    Guard(
        "suspects alone in their process",
        _without(Inbox, "_suspects_alone", lambda inbox, able: able),
        (FATAL_MESSAGE.name,),
    ),
    Guard(
        "fatal messages given up", _without(chassis.core.retry, "RETURNS_MAX", NEVER), (FATAL_MESSAGE.name,)
    ),
    Guard("publisher confirm", _without(FakeConnection, "publish", _trusting(BusUnavailable))),
    Guard("mandatory", _without(FakeConnection, "publish", _trusting(Unroutable))),
    Guard("acknowledge last", _without(FakeConnection, "subscribe", _acknowledged_on_arrival)),
    Guard("deterministic ids", _random_ids, (LATE,)),
    Guard("stored bytes", _without(Cable, "emitted", _wrapped_again)),
    Guard(
        "time of an answer that is not stored",
        _without(Envelope, "known_time", property(_now)),
        (),
        days=True,
    ),
    Guard("stored messages", _without(Cable, "emitted", _nothing_stored)),
    Guard("one transaction", _without(Cable, "save", _saved_one_by_one), days=True),
    Guard(
        "decision on a stale version",
        _without(chassis.store.cached, "rests_on_cached", lambda _: False),
        days=True,
    ),
    Guard("lease of an effect", _without(EffectLeases, "_has_expired", lambda *_: True)),
    Guard("sweeper", _without(chassis.runtime, "sweep_unpublished", _never_swept), (), days=True),
    Guard(
        "amounts compared with the provider's answers",
        _without(payment_svc.decider, "mismatch", lambda *_: ""),
    ),
    Guard(
        "answers about other transactions refused",
        _without(
            payment_svc.provider,
            "parse_response",
            lambda asked, response: parse_response(asked, response | {"key": asked.key}),
        ),
    ),
    Guard("provider's idempotency key", _without(ProviderLine, "_ask", _asked_under_a_new_key)),
    Guard(
        "tombstone of a cancelled order, in stock",
        _deaf("inventory_svc", "reservations", Goods.NEW, orders.OrderCancelled),
        ("cancelled when placed",),
    ),
    Guard(
        "tombstone of a cancelled order, in payments",
        _deaf("payment_svc", "payments", Payment.NEW, orders.OrderCancelled),
        ("cancelled when placed",),
    ),
    Guard(
        "tombstone of an order that is not placed yet",
        _deaf("order_svc", "orders", Order.NEW, orders.CancelOrder),
        ("cancelled first",),
    ),
    Guard("compensation: release", _released_only_in_name(Goods.HELD), ("declined",)),
    Guard("compensation: restock", _released_only_in_name(Goods.COMMITTED), (REFUNDED,)),
    Guard(
        "compensation: void",
        _deaf("payment_svc", "payments", Payment.AUTHORIZED, orders.OrderCancelled),
        (VOIDED, "cancelled when reserved"),
    ),
    Guard(
        "compensation: void of what is being authorised",
        lambda: _changed("payment_svc", "payments", _not_notified_of_cancellation),
        ("cancelled when reserved",),
    ),
    Guard(
        "compensation: refund",
        _deaf("payment_svc", "payments", Payment.CAPTURED, orders.OrderCancelled),
        (REFUNDED,),
    ),
    Guard(
        "a key of its own for a repeated request",
        _without(payment_svc.decider, "key", lambda payment, effect: f"{payment.order_id}:{effect}"),
        ("capture repeated",),
    ),
    Guard(
        "failure that arrives after its resolution",
        lambda: _changed("order_svc", "orders", _each_failure_counts),
        ("settled",),
    ),
    Guard(
        "settled payment of a cancelled order left to staff",
        lambda: _changed("payment_svc", "payments", _settlements_unknown),
        ("settled or cancelled",),
    ),
    Guard(
        "refunds never exceed the captured total",
        _without(payment_svc.partial_refunds, "refundable_minor", lambda payment: payment.total.amount_minor),
        ("refunded in parts",),
    ),
    Guard(
        "one refund for each refund id",
        _without(order_svc.refunds, "is_repeated", lambda *_: False),
        ("refunded in parts",),
    ),
    Guard(
        "a piece is refunded once",
        _without(order_svc.refunds, "pieces_refunded", lambda _: {}),
        ("goods returned",),
    ),
    Guard(
        "goods stay sold if their refund is refused",
        _without(order_svc.refunds, "refuse", order_svc.refunds.finish),
        ("goods returned",),
    ),
    Guard(
        "goods return when their refund is done",
        _deaf("order_svc", "orders", Order.DISPATCHED, payments.PaymentPartRefunded),
        ("goods returned",),
    ),
    Guard(
        "goods return before their dispatch is known",
        lambda: _changed("inventory_svc", "reservations", _returned_early),
        ("goods returned",),
    ),
    Guard(
        "goods return if their payment was settled outside",
        _without(order_svc.refunds, "return_goods", order_svc.refunds.refuse),
        ("goods returned outside",),
    ),
    Guard(
        "no refund by card if the payment was settled outside",
        _without(payment_svc.partial_refunds, "is_settled_outside", lambda _: False),
        ("goods returned outside",),
    ),
    # commands that a person repeats, under another message id
    Guard(
        "an order is placed once",
        _decided_again("order_svc", "orders", orders.PlaceOrder, status=Order.NEW),
        (),
        days=True,
    ),
    Guard(
        "a repeated order is recognised",
        _without(order_svc.order.Order, "same_as", lambda *_: False),
        (),
        days=True,
    ),
    Guard(
        "an order is cancelled once",
        _cancelled_again(orders.CancelOrder, Order.CONFIRMED),
        (),
        days=True,
    ),
    Guard(
        "an order is cancelled by staff once",
        _cancelled_again(orders.CancelAsStaff, Order.NEEDS_ATTENTION),
        ("cancelled by staff",),
    ),
    Guard(
        "an order is dispatched once",
        lambda: _changed("order_svc", "orders", _dispatched_again),
        ("dispatched",),
    ),
    Guard(
        "a tracking reference is recorded once",
        _decided_again("order_svc", "orders", orders.RecordTracking, tracking=""),
        ("dispatched",),
    ),
    Guard(
        "an older tracking reference replaces no newer one",
        lambda: _changed("order_svc", "orders", _tracked_as_it_arrives),
        ("tracking replaced",),
    ),
    Guard(
        "a receipt is counted once",
        _decided_again("inventory_svc", "receipts", inventory.ReceiveStock, counted=False),
        (),
        days=True,
    ),
    Guard(
        "a correction is counted once",
        _decided_again("inventory_svc", "corrections", inventory.CorrectStock, status=CorrectionStatus.NEW),
        (),
        days=True,
    ),
    Guard(
        "a request is repeated only if it failed",
        _without(payment_svc.resolution, "retryable", _retryable_before_it_failed),
        ("capture repeated",),
    ),
    Guard(
        "a release that differs is shown to staff",
        _without(payment_svc.decider, "after_release", lambda *_: None),
        ("settled",),
    ),
    Guard(
        "a settlement counts once",
        _without(payment_svc.resolution, "is_recorded", lambda *_: False),
        ("settled or cancelled",),
    ),
    Guard("deadline", _deaf("order_svc", "orders", Order.PLACED, orders.DeadlinePassed), (LATE,)),
    Guard("sender, key and copies", _without(envelope, "why_forged", lambda *_, **names: ""), (), days=True),
    Guard(
        "first sender of what is handed back",
        _without(envelope, "why_forged", _gullible),
        (),
        days=True,
    ),
    Guard(
        "a stranger's headers dropped",
        _without(chassis.core.retry, "dead_letter", _as_claimed),
        (),
        days=True,
    ),
    Guard("address erasure", lambda: _changed("user_svc", USERS.kind, _undone_only_in_name), (), days=True),
)

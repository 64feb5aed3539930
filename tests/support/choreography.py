"""The three deciders of the saga, a card provider and a set of messages that are delivered in any order.

Pure and immutable: a world and a choice give the next world, so all choices can be explored. As in the
chassis, a message is handled once, and the provider executes each key once, whether or not its response
arrives.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chassis.core.decision import RunEffect
from chassis.messaging.message import Command, Event, Message
from contracts import orders, payments
from contracts.http.orders import BOOKED, RefundStatus
from contracts.http.payments import PaymentStatus
from contracts.payments import DeclineReason
from contracts.values import NOTHING, quantities
from inventory_svc.service import inventory_service
from order_svc.service import order_service
from payment_svc import payment as card
from payment_svc.partial_refunds import MAY_BE_CAPTURED_YET
from payment_svc.service import payment_service
from tests.support.decision_tables import play

SERVICES = (order_service(), inventory_service(), payment_service())
AGGREGATES = {aggregate.kind: aggregate for service in SERVICES for aggregate in service.aggregates}

AggregateKey = tuple[str, str]  # kind, key


@dataclass(frozen=True)
class Pending:
    """A message for one aggregate. `copy` distinguishes equal messages; an optional one may never be sent."""

    kind: str
    message: Message
    copy: int = 0
    optional: bool = False

    @property
    def aggregate_key(self) -> AggregateKey:
        return self.kind, AGGREGATES[self.kind].key(self.message)


_NOTHING_DONE = card.Declined | card.NeverAuthorized | card.CaptureRefused


@dataclass(frozen=True)
class Provider:
    """The card provider's future responses, and what it has done: one entry per key, for ever.

    `too_late`: it has forgotten the keys, so nothing more is authorised; earlier effects can be looked up.
    With `day_may_pass` this may happen at any moment. `misreported`: effects of which it reports another
    amount.
    """

    accepts_card: bool = True
    captures: bool = True
    captures_repeated: bool = False
    day_may_pass: bool = False
    too_late: bool = False
    misreported: frozenset[str] = frozenset()
    done: Mapping[str, Any] = field(default_factory=dict)

    def asked(self, effect: Any) -> tuple["Provider", Any]:
        response = self.done.get(effect.key) or self._response(effect)
        if effect.key.partition(":")[2] in self.misreported and not isinstance(response, _NOTHING_DONE):
            response = replace(response, amount=NOTHING)
        return replace(self, done={**self.done, effect.key: response}), response

    def _response(self, effect: Any) -> Any:
        match effect:
            case card.AuthorizeCard() if self.too_late:
                return card.NeverAuthorized()
            case card.AuthorizeCard(key=key, amount=amount):
                return (
                    card.Authorized(key, amount)
                    if self.accepts_card
                    else card.Declined(DeclineReason.REFUSED)
                )
            case card.CaptureAmount(reference=reference, amount=amount):
                assert reference in self.done, "captured without an authorisation"
                captures = self.captures or (self.captures_repeated and effect.key.endswith(":capture:1"))
                return card.Captured(reference, amount) if captures else card.CaptureRefused("expired")
            case card.VoidAuthorization(reference=reference):
                assert not self.did(reference, "capture"), "voided after the capture"
                return card.Voided(reference, self.done[reference].amount)
            case card.RefundAmount(reference=reference, amount=amount, part=part):
                assert self.did(reference, "capture"), "refunded without a capture"
                return card.Refunded(reference, amount, part)

    def did(self, reference: str, effect: str) -> bool:
        first = f"{reference.partition(':')[0]}:{effect}"
        responses = [each for key, each in self.done.items() if key == first or key.startswith(f"{first}:")]
        return any(not isinstance(response, _NOTHING_DONE) for response in responses)

    def did_for(self, order_id: str) -> frozenset[str]:
        """The money that has moved on the customer's card, and whether a capture was refused."""
        effects = {
            effect for effect in ("authorize", "capture", "void", "refund") if self.did(order_id, effect)
        }
        refused = isinstance(self.done.get(f"{order_id}:capture"), card.CaptureRefused)
        return frozenset(effects | {"capture refused"} if refused else effects)


@dataclass(frozen=True)
class World:
    """`events`: all events so far, in the order in which they were emitted."""

    states: Mapping[AggregateKey, Any]
    waiting: frozenset[Pending]
    handled: frozenset[Pending] = frozenset()
    responses: frozenset[tuple[Pending, Any]] = frozenset()
    events: tuple[Event, ...] = ()
    provider: Provider = field(default_factory=Provider)

    @property
    def fingerprint(self) -> object:
        done = frozenset(self.provider.done.items())
        moved = self.responses, self.emitted, done, self.provider.too_late
        return frozenset(self.states.items()), self.waiting, self.handled, moved

    @property
    def emitted(self) -> frozenset[type[Event]]:
        return frozenset(type(event) for event in self.events)

    @property
    def quiet(self) -> bool:
        """No message is in flight except optional ones."""
        return not self.responses and all(pending.optional for pending in self.waiting)

    def state(self, kind: str, key: object) -> Any:
        return self.states.get((kind, str(key)), AGGREGATES[kind].start)

    def choices(self) -> Iterator[tuple[str, "World"]]:
        """Every next world, with a description of the choice."""
        for pending in filter(self._may_arrive, sorted(self.waiting, key=_name)):
            yield (
                f"{pending.kind} hears {type(pending.message).__name__}",
                self.handles(pending, pending.message),
            )
        if self.provider.day_may_pass and not self.provider.too_late:
            yield "a day passes", self.a_day_later()
        for pending, response in sorted(self.responses, key=lambda pair: _name(pair[0])):
            after = replace(self, responses=self.responses - {(pending, response)})
            name = type(response).__name__
            yield f"the provider's answer {name} is lost", after
            if pending in self.waiting:
                yield f"{pending.kind} hears the answer {name}", after.handles(pending, response)

    def _may_arrive(self, pending: Pending) -> bool:
        """Staff decide about a payment that they see; a refund waits on the retry ladder for the capture."""
        match pending.message:
            case payments.RetryPayment() | payments.SettlePayment():
                return self.state(*pending.aggregate_key).status is not PaymentStatus.NEW
            case orders.RefundRequested():
                return self.state(*pending.aggregate_key).status not in MAY_BE_CAPTURED_YET
            case _:
                return True

    def a_day_later(self) -> "World":
        """By then every deadline has passed."""
        due = {pending for pending in self.waiting if isinstance(pending.message, orders.DeadlinePassed)}
        waiting = (self.waiting - due) | {replace(pending, optional=False) for pending in due}
        return replace(self, waiting=waiting, provider=replace(self.provider, too_late=True))

    def handles(self, pending: Pending, subject: Any) -> "World":
        aggregate, aggregate_key = AGGREGATES[pending.kind], pending.aggregate_key
        around = {key: state for (kind, key), state in self.states.items() if kind in _beside(pending.kind)}
        outcome = play(aggregate, self.state(*aggregate_key), subject, around)
        if isinstance(outcome, RunEffect):
            provider, response = self.provider.asked(outcome.effect)
            return replace(self, provider=provider, responses=self.responses | {(pending, response)})
        beside = {(_beside(pending.kind)[0], key): state for key, state in outcome.related.items()}
        world = replace(
            self,
            states={**self.states, aggregate_key: outcome.state, **beside},
            waiting=self.waiting - {pending},
            handled=self.handled | {pending},
            events=(*self.events, *(emitted for emitted in outcome.emits if isinstance(emitted, Event))),
        )
        for emitted in outcome.emits:
            world = world.carrying(emitted)
        deadline = aggregate.deadline
        if deadline and deadline.waiting(outcome.state):
            reminder = Pending(
                pending.kind, deadline.make_command(aggregate_key[1]), optional=not self.provider.too_late
            )
            world = world if reminder in world.handled else replace(world, waiting=world.waiting | {reminder})
        return world

    def carrying(self, message: Message, *, optional: bool = False, copy: int = 0) -> "World":
        """The world with a message in flight to all its consumers."""
        consumers = [
            aggregate.kind
            for service in SERVICES
            for aggregate in service.aggregates
            if type(message) in aggregate.handles
            and (not isinstance(message, Command) or service.name == message.OWNER)
        ]
        pending_messages = {Pending(kind, message, copy, optional) for kind in consumers}
        assert not pending_messages & (self.waiting | self.handled), f"{type(message).__name__} is said twice"
        return replace(self, waiting=self.waiting | pending_messages)


def _name(pending: Pending) -> tuple[str, str, str, int]:
    return pending.kind, pending.message.TYPE, pending.aggregate_key[1], pending.copy


def _beside(kind: str) -> tuple[str, ...]:
    related = AGGREGATES[kind].related
    return (related.kind,) if related else ()


def broken_promises(world: World) -> Iterator[str]:
    """The violated invariants: those of any moment and, in a quiet world,
    those of every order that was ever placed.
    """
    for (kind, key), state in world.states.items():
        if kind == "shelves" and state.available + state.reserved + state.sold != state.received:
            yield f"pieces of {key} appeared or vanished"
    if not world.quiet:
        return
    for key, order in [(key, state) for (kind, key), state in world.states.items() if kind == "orders"]:
        goods = str(world.state("reservations", key).status)
        money = world.provider.did_for(key)
        payment = world.state("payments", key)
        if payment.settlements and not payment.refunds:  # else they are about a refund
            money |= {"settled"}
        outcomes = _FREE_OUTCOMES if order.total.is_zero else _OUTCOMES
        if (str(order.status), goods, money) not in outcomes:
            yield f"an order ended {order.status} with its goods {goods} and the card {sorted(money)}"
        yield from _unbalanced_refunds(order, world.state("reservations", key), payment)
    for key, payment in [(key, state) for (kind, key), state in world.states.items() if kind == "payments"]:
        if payment.status.endswith("ing"):
            yield f"the payment of {key} waits for the provider for ever: {payment.status}"
    held = {sku: state.reserved for (kind, sku), state in world.states.items() if kind == "shelves"}
    if any(held.values()):
        yield f"goods are held for nobody: {held}"


def _unbalanced_refunds(order: Any, reservation: Any, payment: Any) -> Iterator[str]:
    """Goods come back if their refund is done or settled outside, and only then; each piece once."""
    if any(refund.status is RefundStatus.REQUESTED for refund in order.refunds):
        yield "a refund is in progress for ever"
    done = [refund for refund in order.refunds if refund.status is RefundStatus.DONE]
    if {refund.refund_id for refund in done} != {
        refund.refund_id for refund in payment.refunds if refund.done
    }:
        yield "order_svc and payment_svc disagree about a refund"
    booked = [refund for refund in order.refunds if refund.status in BOOKED]
    due = {refund.refund_id: refund.returned for refund in booked if refund.returned}
    if due != {each.refund_id: each.returned for each in reservation.returns}:
        yield "order_svc and inventory_svc disagree about goods that came back"
    returned = quantities(line for goods in due.values() for line in goods)
    if any(count > quantities(order.lines)[sku] for sku, count in returned.items()):
        yield "a piece came back twice"


_AUTHORIZED: frozenset[str] = frozenset({"authorize"})
_CAPTURED = _AUTHORIZED | {"capture"}
_REFUSED = _AUTHORIZED | {"capture refused"}
_UNDONE: tuple[frozenset[str], ...] = (frozenset(), _AUTHORIZED | {"void"}, _CAPTURED | {"refund"})

# All permitted outcomes of an order, its goods and the customer's card.
_OUTCOMES = {
    ("new", "new", frozenset()),
    ("rejected", "new", frozenset()),
    ("confirmed", "committed", _CAPTURED),
    ("dispatched", "dispatched", _CAPTURED),
    *(("cancelled", goods, money) for goods in ("released", "rejected") for money in _UNDONE),
    # A capture that the provider refused: no money moved, and staff must check or cancel the order.
    ("needs_attention", "committed", _REFUSED),
    ("needs_attention", "dispatched", _REFUSED),
    ("cancelled", "released", _REFUSED | {"void"}),
    # Staff settled the payment, or had the capture repeated.
    *(
        (status, goods, money)
        for status, goods in (("confirmed", "committed"), ("dispatched", "dispatched"))
        for money in (_REFUSED | {"settled", "void"}, _REFUSED | {"capture"})
    ),
    ("cancelled", "released", _REFUSED | {"settled", "void"}),
    ("cancelled", "released", _REFUSED | {"capture", "refund"}),
}
# Those of an order without a price: nothing reaches the card provider.
_FREE_OUTCOMES = {
    (status, goods, frozenset[str]()) for status, goods, _ in _OUTCOMES if status != "needs_attention"
}

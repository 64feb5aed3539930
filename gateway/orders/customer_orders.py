"""Places and cancels orders by commands to order_svc, and reads orders from the gateway's own projection.

Any later request with the same idempotency key can repeat every step of placing an order, on any instance:
the order's id is stored under the key, the message's id derives from it, and order_svc handles each message
id once.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from uuid import UUID

from chassis.bus.protocol import BusUnavailable, Unroutable
from chassis.core.execute import execute, load_state
from chassis.core.message_spans import sending_span
from chassis.messaging.envelope import Envelope, wrap
from chassis.messaging.identity import derived_id, new_id
from chassis.messaging.message import Command
from chassis.runtime import Runtime
from chassis.store.protocol import Loaded
from chassis.telemetry import span_ids, tracing
from contracts import orders
from contracts.http.users import AddressView
from contracts.values import Money, OrderLine, PricedLine
from gateway.delivery.choice import RequestedDelivery
from gateway.delivery.sealing import AddressSealing, Sealing
from gateway.http.problems import REDUCED_CAPACITY, ProblemError, make_problem
from gateway.orders.aggregates import IDEMPOTENCY_RECORDS, TIMELINES
from gateway.orders.idempotency import (
    ClaimKey,
    IdempotencyKeyReused,
    IdempotencyRecord,
    IdempotencyStatus,
    fingerprint_of,
    record_key,
)
from gateway.orders.progress import OrderProgress, build_progress
from gateway.orders.timeline import (
    CancellationSubmitted,
    OrderSubmitted,
    OrderTimeline,
    SubmitOrder,
    TimelineStatus,
)
from gateway.settings import GatewaySettings

_ROUTE = "orders"
# Message ids of earlier versions derive from these texts, so they stay.
_CLAIM = "take"
_ACTION = "asked"
REPEATED_AFTER = timedelta(minutes=1)
_ENDED = (TimelineStatus.DISPATCHED, TimelineStatus.CANCELLED, TimelineStatus.REJECTED)


class PublishNotConfirmed(ProblemError):
    """The broker has not confirmed the command, so its outcome is unknown.

    A retry with the same key is safe.
    """

    def __init__(self, retry_after_s: int) -> None:
        problem = make_problem("not-taken", type=REDUCED_CAPACITY)
        super().__init__(problem=problem, headers={"Retry-After": str(retry_after_s)})
        self.retry_after_s = retry_after_s


class OrderNotFound(ProblemError):
    """The order does not exist or belongs to another customer. Callers cannot distinguish the two."""

    def __init__(self) -> None:
        super().__init__("not-found")


class OrderNotCancellable(ProblemError):
    """The order has ended or has been dispatched."""

    def __init__(self, status: TimelineStatus) -> None:
        super().__init__("too-late", f"the order is {status} already")


class CustomerOrders:
    """All methods raise StoreUnavailable while the database is unavailable."""

    def __init__(
        self, runtime: Runtime, settings: GatewaySettings, clock: Callable[[], float] = monotonic
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._clock = clock
        self._sealing = AddressSealing(runtime)
        self._publishing = 0
        self._paused_until = 0.0

    async def place(
        self,
        customer_id: UUID,
        key: str,
        lines: tuple[OrderLine, ...],
        total: Money | None,
        card_token: str,
        *,
        delivery: RequestedDelivery,
        order_id: UUID | None = None,
    ) -> UUID:
        """Publishes PlaceOrder and returns the id of the key's order.

        A repeated request publishes it again if no event about the order has arrived for a minute: then the
        broker may have lost the command. order_svc recognises a copy by its id.

        `order_id`: the id to use if the key is new.

        `total`: as the customer saw it; if prices have changed since, order_svc rejects the order.

        `delivery`: its address is stored with the order, encrypted, before the command is published. A
        repeated request does not change it.

        Raises IdempotencyKeyReused for a key of a different order, PublishNotConfirmed if the broker does not
        confirm, and what `delivery` raises; then the key is not used up.
        """
        self._check_publish_pause()
        sealing = await self._sealing.for_writing(customer_id)
        digest = sealing.digest(delivery.text)
        claim = ClaimKey(order_id or new_id(), fingerprint_of(lines, total, card_token, digest))
        record = record_key(customer_id, _ROUTE, key)
        is_begun = await self._is_begun(record, claim)
        sealed_address = "" if is_begun else sealing.seal(await delivery.resolve())
        once = derived_id(_CLAIM, record, claim.fingerprint)
        claimed = await execute(self._runtime, IDEMPOTENCY_RECORDS, record, claim, message_id=once)
        order_id = claimed.state.order_id
        priced = tuple(line for line in lines if isinstance(line, PricedLine))
        now = self._runtime.clock()
        submit = SubmitOrder(
            customer_id, priced, total, now, sampled=tracing.is_sampled(), sealed_address=sealed_address
        )
        timeline = await self._record(order_id, submit, "send")
        if timeline.unanswered_since(now - REPEATED_AFTER):
            plain = tuple(OrderLine(sku=line.sku, quantity=line.quantity) for line in lines)
            await self._publish(
                orders.PlaceOrder(
                    order_id=order_id,
                    customer_id=customer_id,
                    lines=plain,
                    card_token=card_token,
                    total_seen=total,
                ),
                derived_id("place", order_id),
                sampled=timeline.sampled,
            )
            await self._record(order_id, OrderSubmitted(self._runtime.clock()), "sent")
        return order_id

    async def _is_begun(self, record: str, claim: ClaimKey) -> bool:
        """Whether an earlier request with the key has stored the order, and with it the address."""
        known: IdempotencyRecord = await load_state(self._runtime, IDEMPOTENCY_RECORDS, record)
        if known.status is IdempotencyStatus.NEW:
            return False
        if known.fingerprint != claim.fingerprint:
            raise IdempotencyKeyReused
        timeline = await self.get(known.order_id)
        return timeline is not None and timeline.status is not TimelineStatus.NEW

    async def find_by_key(self, customer_id: UUID, key: str) -> UUID | None:
        """The id of the key's order, if the broker has confirmed its PlaceOrder command."""
        record: IdempotencyRecord = await load_state(
            self._runtime, IDEMPOTENCY_RECORDS, record_key(customer_id, _ROUTE, key)
        )
        timeline = await self.get(record.order_id)  # None for a new key
        return (
            None
            if timeline is None or timeline.status in (TimelineStatus.NEW, TimelineStatus.SENDING)
            else record.order_id
        )

    async def cancel(self, customer_id: UUID, order_id: UUID, key: str = "") -> bool:
        """Publishes CancelOrder, unless the same `key` was used before. The outcome arrives as an event.

        Returns whether the key was used before. Raises OrderNotFound, OrderNotCancellable,
        PublishNotConfirmed.
        """
        once = f"cancellation/{key}"
        loaded = await self._load(order_id)
        timeline = _timeline(loaded)
        if timeline is None or timeline.customer_id != customer_id:
            raise OrderNotFound
        if _action_id(order_id, once) in loaded.handled:
            return True
        if timeline.status in _ENDED:
            raise OrderNotCancellable(timeline.status)
        self._check_publish_pause()
        cancel = orders.CancelOrder(order_id=order_id, customer_id=customer_id)
        await self._publish(cancel, derived_id("cancel", order_id, key), sampled=timeline.sampled)
        await self._record(order_id, CancellationSubmitted(self._runtime.clock()), once)
        return False

    async def get(self, order_id: UUID) -> OrderTimeline | None:
        return _timeline(await self._load(order_id))

    async def sealing_of(self, customer_id: UUID) -> Sealing:
        """Opens the delivery addresses of the customer's orders."""
        return await self._sealing.for_reading(customer_id)

    async def delivery_address(self, timeline: OrderTimeline) -> AddressView | None:
        """None if none is on record."""
        if not timeline.sealed_address:
            return None
        return (await self.sealing_of(timeline.customer_id)).open(timeline.sealed_address)

    def progress(self, order_id: UUID, timeline: OrderTimeline) -> OrderProgress:
        """The progress at the current time. order_svc cancels an incomplete order after its deadline."""
        deadline = timedelta(seconds=self._settings.order_deadline_s)
        return build_progress(order_id, timeline, self._runtime.clock(), deadline)

    async def list_for_customer(
        self, customer_id: UUID, after: UUID | None = None, limit: int = 20
    ) -> list[tuple[UUID, OrderTimeline]]:
        """A page of the customer's orders, newest first. `after`: the last order of the previous page."""
        where = {"customer_id": str(customer_id)}
        after_key = "" if after is None else str(after)
        found = await self._runtime.store.find(
            TIMELINES.kind, where, after=after_key, limit=limit, newest_first=True
        )
        return [
            (UUID(loaded.key), timeline) for loaded in found if (timeline := _timeline(loaded)) is not None
        ]

    async def _load(self, order_id: UUID) -> Loaded:
        key = str(order_id)
        return (await self._runtime.store.load(TIMELINES.kind, [key]))[key]

    async def _record(
        self, order_id: UUID, action: SubmitOrder | OrderSubmitted | CancellationSubmitted, once: str
    ) -> OrderTimeline:
        """`once`: the name of this step, by which a repeated step is detected and writes nothing."""
        outcome = await execute(
            self._runtime, TIMELINES, str(order_id), action, message_id=_action_id(order_id, once)
        )
        timeline: OrderTimeline = outcome.state
        return timeline

    def _check_publish_pause(self) -> None:
        """Raises PublishNotConfirmed for `publish_pause_s` after a missing confirm, to fail fast."""
        if (left_s := self._paused_until - self._clock()) > 0:
            raise PublishNotConfirmed(max(1, round(left_s + 0.5)))

    async def _publish(self, command: Command, message_id: str, *, sampled: bool | None) -> None:
        """`sampled`: whether the order's trace is sampled; None if that is unknown."""
        self._check_publish_pause()
        if self._publishing >= self._settings.publishing_max:
            raise PublishNotConfirmed(1)
        begins = isinstance(command, orders.PlaceOrder)
        context = tracing.join_journey(command.subject, begins=begins, sampled=sampled)
        envelope = wrap(
            command,
            id=message_id,
            source=self._runtime.service.name,
            now=self._runtime.clock(),
            traceparent=span_ids.created_in(context, message_id),
        )
        self._publishing += 1
        try:
            with sending_span(envelope.source, envelope):
                error = await self._publish_confirmed(envelope)
        finally:
            self._publishing -= 1
        if isinstance(error, BusUnavailable | Unroutable):
            self._paused_until = self._clock() + self._settings.publish_pause_s
            raise PublishNotConfirmed(max(1, round(self._settings.publish_pause_s))) from None
        if error is not None:
            raise error

    async def _publish_confirmed(self, envelope: Envelope) -> Exception | None:
        """Returns None if the broker has confirmed and routed the message in time."""
        try:
            async with asyncio.timeout(self._settings.publish_s_max):
                wire_message = envelope.wire_message(self._runtime.service.catalog)
                [error] = await self._runtime.bus.publish([wire_message])
                return error
        except TimeoutError:
            return BusUnavailable("no confirm in time")


def _timeline(loaded: Loaded) -> OrderTimeline | None:
    timeline: OrderTimeline | None = None if loaded.state is None else TIMELINES.codec.load(loaded.state)
    return timeline


def _action_id(order_id: UUID, once: str) -> str:
    return derived_id(_ACTION, order_id, once)

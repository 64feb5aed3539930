"""Orders at the door: asked for by a command that the broker has confirmed, shown from the gateway's own projection.

Every step of placing an order can be taken again by the next request with the same key, on any instance: the key finds
the order's id, the id makes the message's id, and order_svc knows a message that comes twice.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from time import monotonic
from uuid import UUID

from chassis.bus import BusUnavailable, Unroutable
from chassis.direct import decide_directly, load_directly
from chassis.runtime import Runtime
from chassis.store import Loaded
from contracts import orders
from contracts.envelope import seal
from contracts.identity import derived_id, new_id
from contracts.message import Command
from contracts.values import Money, OrderLine, PricedLine
from gateway import arrival
from gateway.journey import CancellationSent, Journey, Send, Sent, Status
from gateway.request import Request, Take, request_key
from gateway.service import JOURNEYS, REQUESTS
from gateway.settings import GatewaySettings

_ROUTE = "orders"
_ENDED = (Status.DISPATCHED, Status.CANCELLED, Status.REJECTED)


class NotTaken(Exception):
    """The broker has not confirmed the command: it has it, or has it not. The same key may be sent again."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"no confirm; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class NotThere(Exception):
    """No such order, or somebody else's, which is the same to whoever asks."""


class TooLate(Exception):
    """It has ended, or is on its way."""

    def __init__(self, journey: Journey) -> None:
        super().__init__(f"the order is {journey.status}")
        self.journey = journey


class Orders:
    """Every call raises StoreUnavailable while the database is away."""

    def __init__(self, runtime: Runtime, settings: GatewaySettings, clock: Callable[[], float] = monotonic) -> None:
        self._runtime, self._settings, self._clock = runtime, settings, clock
        self._publishing = 0
        self._refusing_until = 0.0

    async def place(
        self,
        customer_id: UUID,
        key: str,
        lines: tuple[OrderLine, ...],
        total: Money | None,
        card_token: str,
        *,
        order_id: UUID | None = None,
    ) -> UUID:
        """The order of this key, once the broker has it. `order_id`: what to call it if the key is a new one.

        `total`: as the customer saw it; if the prices are others by now, order_svc rejects the order. Raises OtherBody
        if the key was used for something else, NotTaken if the broker does not confirm.
        """
        self._require_patience()
        take = Take(order_id or new_id(), _fingerprint(lines, total, card_token))
        found = request_key(customer_id, _ROUTE, key)
        once = derived_id("take", found, take.fingerprint)
        taken = await decide_directly(self._runtime, REQUESTS, found, take, message_id=once)
        order_id = taken.state.order_id
        priced = tuple(line for line in lines if isinstance(line, PricedLine))
        journey = await self._tell(order_id, Send(customer_id, priced, total, self._runtime.clock()), "send")
        if journey.status is Status.SENDING:
            plain = tuple(OrderLine(sku=line.sku, quantity=line.quantity) for line in lines)
            await self._publish(
                orders.PlaceOrder(
                    order_id=order_id, customer_id=customer_id, lines=plain, card_token=card_token, total_seen=total
                ),
                derived_id("place", order_id),
            )
            await self._tell(order_id, Sent(self._runtime.clock()), "sent")
        return order_id

    async def of_key(self, customer_id: UUID, key: str) -> UUID | None:
        """The order of this key, if the broker has it."""
        taken: Request = await load_directly(self._runtime, REQUESTS, request_key(customer_id, _ROUTE, key))
        journey = await self.of(taken.order_id)  # there is none yet if the key is a new one
        return None if journey is None or journey.status in (Status.NEW, Status.SENDING) else taken.order_id

    async def cancel(self, customer_id: UUID, order_id: UUID, key: str = "") -> bool:
        """Asks order_svc to cancel; what it says is told later. `key`: a repeated one asks for nothing new.

        Whether it was asked for with this key before. Raises NotThere, TooLate, NotTaken.
        """
        once = f"cancellation/{key}"
        loaded = await self._load(order_id)
        journey = _journey(loaded)
        if journey is None or journey.customer_id != customer_id:
            raise NotThere
        if _told_id(order_id, once) in loaded.handled:
            return True
        if journey.status in _ENDED:
            raise TooLate(journey)
        self._require_patience()
        cancel = orders.CancelOrder(order_id=order_id, customer_id=customer_id)
        await self._publish(cancel, derived_id("cancel", order_id, key))
        await self._tell(order_id, CancellationSent(self._runtime.clock()), once)
        return False

    async def of(self, order_id: UUID) -> Journey | None:
        return _journey(await self._load(order_id))

    async def mine(self, customer_id: UUID, after: UUID | None = None, limit: int = 20) -> list[tuple[UUID, Journey]]:
        """A page of somebody's orders, the newest first. `after`: the last one of the page before."""
        where = {"customer_id": str(customer_id)}
        after_key = "" if after is None else str(after)
        found = await self._runtime.store.find(JOURNEYS.kind, where, after=after_key, limit=limit, newest_first=True)
        return [(UUID(loaded.key), journey) for loaded in found if (journey := _journey(loaded)) is not None]

    async def _load(self, order_id: UUID) -> Loaded:
        key = str(order_id)
        return (await self._runtime.store.load(JOURNEYS.kind, [key]))[key]

    async def _tell(self, order_id: UUID, asked: Send | Sent | CancellationSent, once: str) -> Journey:
        """`once`: names this step, so that taking it again writes nothing."""
        told = await decide_directly(self._runtime, JOURNEYS, str(order_id), asked, message_id=_told_id(order_id, once))
        journey: Journey = told.state
        return journey

    def _require_patience(self) -> None:
        """While the broker is silent nobody else waits for it in vain."""
        if (left_s := self._refusing_until - self._clock()) > 0:
            raise NotTaken(max(1, round(left_s + 0.5)))

    async def _publish(self, command: Command, message_id: str) -> None:
        self._require_patience()
        if self._publishing >= self._settings.publishing_max:
            raise NotTaken(1)
        envelope = seal(
            command,
            id=message_id,
            source=self._runtime.service.name,
            now=self._runtime.clock(),
            traceparent=arrival.current().traceparent,
        )
        self._publishing += 1
        try:
            async with asyncio.timeout(self._settings.publish_s_max):
                [error] = await self._runtime.bus.publish([envelope.parcel()])
        except TimeoutError:
            error = BusUnavailable("no confirm in time")
        finally:
            self._publishing -= 1
        if isinstance(error, BusUnavailable | Unroutable):
            self._refusing_until = self._clock() + self._settings.publish_pause_s
            raise NotTaken(max(1, round(self._settings.publish_pause_s))) from None
        if error is not None:
            raise error


def _fingerprint(lines: tuple[OrderLine, ...], total: Money | None, card_token: str) -> str:
    """Of what is asked for, not of how it was spelled."""
    asked = [[(line.sku, line.quantity) for line in lines], None if total is None else str(total), card_token]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _journey(loaded: Loaded) -> Journey | None:
    journey: Journey | None = None if loaded.state is None else JOURNEYS.codec.load(loaded.state)
    return journey


def _told_id(order_id: UUID, once: str) -> str:
    return derived_id("asked", order_id, once)

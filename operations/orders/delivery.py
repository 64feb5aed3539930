"""Where orders go, read from the gateway with the access token of the staff member who looks.

The audit log has who has read which orders, before the addresses are shown. It has no address.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fastapi import Request
from pydantic import ValidationError

from chassis import telemetry
from chassis.clock import Clock
from chassis.web.http_client import UpstreamClient, UpstreamUnavailable
from contracts.http.delivery import ORDERS_MAX, OrderDeliveries, OrderDelivery
from journey.admin.dead_letters.audit_log import AuditEntry
from operations.access import current_user_id, forwarded_token
from operations.broker import Broker, CommandNotSent

READ = "read"  # the action in the audit log
# A later page view of the same order by the same person is recorded again. Each process of operations
# remembers its own, until it stops: the audit log may have the same reading more than once, and never less.
AGAIN_AFTER = timedelta(hours=1)
_RECORD_S_MAX = 2.0  # the rest of the page does not need the broker
_RETRY_S = 10.0


@dataclass(frozen=True)
class Deliveries:
    """`known` is False if the gateway does not respond, or is of a release that cannot say.

    `withheld`: the audit log cannot be written, so no address is shown.
    """

    known: bool
    by_order: Mapping[str, OrderDelivery] = field(default_factory=dict, repr=False)
    withheld: bool = False

    def of(self, order_id: object) -> OrderDelivery | None:
        """None if nothing is known about this order."""
        return self.by_order.get(str(order_id))


class DeliveryReader:
    def __init__(self, gateway: UpstreamClient, broker: Broker, clock: Clock) -> None:
        self._gateway = gateway
        self._broker = broker
        self._clock = clock
        self._recorded: dict[tuple[UUID, str], datetime] = {}  # staff member, order -> when
        self._writing = asyncio.Lock()
        self._next_try = 0.0

    async def load(self, request: Request, order_ids: Collection[UUID | str]) -> Deliveries:
        """Of at most ORDERS_MAX orders."""
        found = await _fetch(self._gateway, request, order_ids)
        shown = [order_id for order_id, each in found.by_order.items() if each.address is not None]
        if await self._is_recorded(current_user_id(request), shown):
            return found
        return Deliveries(known=True, withheld=True)

    async def _is_recorded(self, staff_id: UUID, order_ids: Sequence[str]) -> bool:
        """Write one entry with the orders that this person has not read within the last hour."""
        try:
            async with asyncio.timeout(_RECORD_S_MAX), self._writing:
                new = [order_id for order_id in order_ids if not self._is_recent((staff_id, order_id))]
                if not new:
                    return True
                if asyncio.get_running_loop().time() < self._next_try:
                    return False
                await self._broker.record_action(self._entry(staff_id, new))
        except (CommandNotSent, TimeoutError) as error:
            telemetry.log.warning("delivery addresses are withheld: no audit log", error=str(error))
            self._next_try = asyncio.get_running_loop().time() + _RETRY_S
            return False
        self._recorded = {each: at for each, at in self._recorded.items() if self._is_recent(each)}
        self._recorded |= dict.fromkeys(((staff_id, order_id) for order_id in new), self._clock())
        return True

    def _is_recent(self, read: tuple[UUID, str]) -> bool:
        at = self._recorded.get(read)
        return at is not None and abs(self._clock() - at) < AGAIN_AFTER  # the clock may be set back

    def _entry(self, staff_id: UUID, order_ids: Sequence[str]) -> AuditEntry:
        about = order_ids[0] if len(order_ids) == 1 else ""
        return AuditEntry.of_action(
            self._clock(),
            str(staff_id),
            READ,
            type="delivery address",
            service="gateway",
            reason=f"{'order' if about else 'orders'} {', '.join(order_ids)}",
            order_id=about,
        )


async def _fetch(gateway: UpstreamClient, request: Request, order_ids: Collection[UUID | str]) -> Deliveries:
    if not order_ids:
        return Deliveries(known=True)
    wanted = [str(order_id) for order_id in order_ids][:ORDERS_MAX]
    try:
        response = await gateway.get(
            "/delivery-addresses", params={"order_id": wanted}, token=forwarded_token(request)
        )
        if response.status_code != 200:
            return Deliveries(known=False)
        found = OrderDeliveries.model_validate_json(response.content)
    except (UpstreamUnavailable, ValidationError):
        return Deliveries(known=False)
    return Deliveries(known=True, by_order={str(each.order_id): each for each in found.items})

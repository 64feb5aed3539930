"""The derived fields by which staff find orders: when it was placed, and its number.

`sort_key`: the time at which the order was placed, and its id, so that it is unique. It sorts by time,
whatever kind of id the client has chosen. Empty: nothing is placed yet.
`reversed_id`: the hexadecimal digits of the id, from the last to the first. The number that people use is the
end of the id, so an index finds it as a prefix.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from chassis.core.derived_fields import DerivedFields
from chassis.store.conditions import Between
from contracts.http.orders import OrderStatus
from order_svc.order import Order

SORT_KEY, REVERSED_ID = "sort_key", "reversed_id"
_AFTER_HEX = "g"
_PLACED = "0"  # every sort key but the empty one comes after it


def derive(order: Order, key: str, changed_at: datetime) -> Mapping[str, str]:
    """The client gives the time of its command, so a time in the future counts as the present."""
    placed_at = _in_utc(min(order.placed_at or _time_of(UUID(key)) or changed_at, changed_at)) or changed_at
    is_placed = order.status is not OrderStatus.NEW
    return {
        REVERSED_ID: UUID(key).hex[::-1],
        SORT_KEY: f"{placed_at.isoformat(timespec='microseconds')} {key}" if is_placed else "",
    }


SEARCH_FIELDS = DerivedFields((REVERSED_ID, SORT_KEY), derive)


def placed_at_of(state: Mapping[str, Any]) -> datetime | None:
    """None if it is not placed, or an earlier version wrote it."""
    at, _, _ = str(state.get(SORT_KEY) or "").partition(" ")
    return datetime.fromisoformat(at) if at else None


def with_number(number: str) -> Between:
    """The reversed ids of orders whose id ends with these digits."""
    first = number.lower()[::-1]
    return Between(first, first + _AFTER_HEX)


def placed_between(first: date | None, last: date | None) -> Between:
    """The sort keys of orders that were placed on these days, in UTC; None is no bound."""
    return Between(
        _beginning_of(first) if first else _PLACED,
        _beginning_of(last + timedelta(days=1)) if last and last < date.max else "",
    )


def _beginning_of(day: date) -> str:
    return datetime.combine(day, time()).isoformat(timespec="microseconds")


def _time_of(id_: UUID) -> datetime | None:
    """The time in a UUIDv7 (RFC 9562); None for other versions."""
    return datetime.fromtimestamp((id_.int >> 80) / 1_000, UTC) if id_.version == 7 else None


def _in_utc(time: datetime) -> datetime | None:
    """None for a time that a client sent and that is before the year 1 in UTC."""
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return None

"""Examples of each state of order_svc's aggregates, and all messages that it can then handle."""

from contracts.http.orders import OrderStatus
from order_svc.service import order_service
from tests.support.decision_tables import DecisionTable, named
from tests.support.messages import (
    AUTHORIZED,
    CANCEL,
    CANCEL_AS_STAFF,
    CANCEL_BY_STRANGER,
    DEADLINE,
    DEARER,
    DECLINED,
    DISPATCH,
    FAILED,
    FAILED_AGAIN,
    LISTED,
    LISTED_AGAIN,
    MISMATCHED,
    OUT_OF_STOCK,
    PLACE,
    PLACE_OTHER_GOODS,
    PLACE_UNKNOWN,
    PRICE_BOOK,
    REFUND_ORDER,
    RESERVED,
    RESOLVED,
    TRACK,
    TRACK_AGAIN,
    WITHDRAWN,
)

_TO_CONFIRMED = [PLACE, RESERVED, AUTHORIZED]

ORDERS = DecisionTable(
    "orders",
    order_service,
    "orders",
    statuses=OrderStatus,
    around=PRICE_BOOK,
    histories={
        "new": [],
        "new, cancellation requested": [CANCEL],
        "placed": [PLACE],
        "placed, stock reserved": [PLACE, RESERVED],
        "placed, payment authorized": [PLACE, AUTHORIZED],
        "confirmed": _TO_CONFIRMED,
        "confirmed, tracking known": [*_TO_CONFIRMED, TRACK],
        "dispatched": [*_TO_CONFIRMED, DISPATCH],
        "dispatched, tracking known": [*_TO_CONFIRMED, DISPATCH, TRACK],
        "cancelled": [PLACE, CANCEL],
        "rejected": [PLACE_UNKNOWN],
        "needs attention": [*_TO_CONFIRMED, FAILED],
        "confirmed, payment resolved": [*_TO_CONFIRMED, FAILED, RESOLVED],
        "dispatched, payment resolved": [*_TO_CONFIRMED, DISPATCH, FAILED, RESOLVED],
        "needs attention, dispatched": [*_TO_CONFIRMED, DISPATCH, FAILED],
    },
    messages=named(
        PLACE,
        (PLACE_UNKNOWN, ", unknown article"),
        (PLACE_OTHER_GOODS, ", other goods"),
        CANCEL,
        (CANCEL_BY_STRANGER, " by another customer"),
        RESERVED,
        OUT_OF_STOCK,
        AUTHORIZED,
        DECLINED,
        FAILED,
        (FAILED_AGAIN, " at a second attempt"),
        MISMATCHED,
        RESOLVED,
        CANCEL_AS_STAFF,
        REFUND_ORDER,
        DISPATCH,
        TRACK,
        (TRACK_AGAIN, " with another reference"),
        DEADLINE,
    ),
)

PRICES = DecisionTable(
    "prices",
    order_service,
    "prices",
    histories={
        "unknown": [],
        "sold, revision 1": [LISTED],
        "sold, revision 2": [LISTED_AGAIN],
        "withdrawn, revision 2": [WITHDRAWN],
        "dearer, revision 2": [DEARER],
    },
    messages=named(
        (LISTED, ", revision 1"),
        (LISTED_AGAIN, ", revision 2"),
        (DEARER, ", revision 2"),
        (WITHDRAWN, ", revision 2"),
    ),
)

DECISION_TABLES = (ORDERS, PRICES)

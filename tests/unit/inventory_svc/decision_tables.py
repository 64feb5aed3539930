"""Examples of each state of inventory_svc's aggregates, and all messages that it can then handle."""

from contracts.http.inventory import CorrectionStatus, ReservationStatus
from inventory_svc.service import inventory_service
from tests.support.decision_tables import DecisionTable, named
from tests.support.messages import (
    CANCELLED,
    CONFIRMED,
    CORRECT,
    CORRECT_TOO_MUCH,
    CORRECT_UPWARDS,
    DISPATCHED,
    GOODS_RETURNED,
    GOODS_RETURNED_AGAIN,
    PLACED,
    PLACED_TOO_MANY,
    RECEIVE,
    SHELVES,
)

RESERVATIONS = DecisionTable(
    "reservations",
    inventory_service,
    "reservations",
    statuses=ReservationStatus,
    around=SHELVES,
    histories={
        "new": [],
        "held": [PLACED],
        "rejected": [PLACED_TOO_MANY],
        "committed": [PLACED, CONFIRMED],
        "dispatched": [PLACED, CONFIRMED, DISPATCHED],
        "dispatched, goods returned": [PLACED, CONFIRMED, DISPATCHED, GOODS_RETURNED],
        "released": [CANCELLED],
    },
    messages=named(
        PLACED,
        (PLACED_TOO_MANY, ", one line short"),
        CONFIRMED,
        DISPATCHED,
        CANCELLED,
        GOODS_RETURNED,
        (GOODS_RETURNED_AGAIN, " by another refund"),
    ),
)

RECEIPTS = DecisionTable(
    "receipts",
    inventory_service,
    "receipts",
    around=SHELVES,
    histories={"new": [], "counted": [RECEIVE]},
    messages=named(RECEIVE),
)

CORRECTIONS = DecisionTable(
    "corrections",
    inventory_service,
    "corrections",
    statuses=CorrectionStatus,
    around=SHELVES,
    histories={"new": [], "applied": [CORRECT], "refused": [CORRECT_TOO_MUCH]},
    messages=named(CORRECT, (CORRECT_UPWARDS, " upwards"), (CORRECT_TOO_MUCH, " by more than is available")),
)

DECISION_TABLES = (RESERVATIONS, RECEIPTS, CORRECTIONS)

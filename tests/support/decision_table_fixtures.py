"""Example histories that lead each aggregate into each of its states,
and all messages that it can then handle.

Add new statuses and messages here; the tests report missing ones.
"""

from typing import Any

from chassis.messaging.message import Message
from contracts.http.inventory import ReservationStatus
from contracts.http.orders import OrderStatus
from inventory_svc.service import inventory_service
from notification_svc.mail import MailStatus
from notification_svc.service import notification_service
from order_svc.service import order_service
from payment_svc.payment import PaymentStatus
from payment_svc.service import payment_service
from product_svc.product import ProductStatus
from product_svc.service import product_service
from tests.support.account_decision_tables import USERS
from tests.support.decision_tables import DecisionTable
from tests.support.messages import (
    AUTHORIZE,
    AUTHORIZED,
    CANCEL,
    CANCEL_BY_STRANGER,
    CANCELLED,
    CAPTURE,
    CARD_AUTHORIZED,
    CARD_AUTHORIZED_HALF,
    CARD_CAPTURE_REFUSED,
    CARD_CAPTURED,
    CARD_CAPTURED_HALF,
    CARD_DECLINED,
    CARD_NEVER_AUTHORIZED,
    CARD_REFUNDED,
    CARD_REFUNDED_HALF,
    CARD_VOIDED,
    CARD_VOIDED_HALF,
    CHANGE_PRICE,
    CONFIRMED,
    DEADLINE,
    DEARER,
    DECLINED,
    DISPATCH,
    DISPATCHED,
    FAILED,
    KEEP_PRICE,
    KNOWN_MAILS,
    LIST,
    LIST_OTHERWISE,
    LISTED,
    LISTED_AGAIN,
    MAIL_REFUSED,
    MAIL_SUPERSEDED,
    MAIL_TAKEN,
    MISMATCHED,
    OTHER_ORDER,
    OUT_OF_STOCK,
    PASSWORD_CHANGED,
    PLACE,
    PLACE_OTHER_GOODS,
    PLACE_UNKNOWN,
    PLACED,
    PLACED_TOO_MANY,
    PRICE_BOOK,
    PROOF_REQUESTED,
    RECEIVE,
    REFUND,
    REFUNDED,
    REGISTERED,
    REGISTERED_AGAIN,
    RESERVED,
    RESET_REQUESTED,
    SEND_MAIL,
    SEND_MAIL_OF_CANCELLED,
    SHELVES,
    VOID,
    WITHDRAW,
    WITHDRAWN,
)


def named(*messages: Any) -> dict[str, Any]:
    """Messages and effect results by type name; several of one type are distinguished by what differs."""
    apart = [message if isinstance(message, tuple) else (message, "") for message in messages]
    return {
        f"{'' if isinstance(message, Message) else 'answer '}{type(message).__name__}{what}": message
        for message, what in apart
    }


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
        "dispatched": [*_TO_CONFIRMED, DISPATCH],
        "cancelled": [PLACE, CANCEL],
        "rejected": [PLACE_UNKNOWN],
        "needs attention": [*_TO_CONFIRMED, FAILED],
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
        MISMATCHED,
        DISPATCH,
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
        "released": [CANCELLED],
    },
    messages=named(
        PLACED,
        (PLACED_TOO_MANY, ", one line short"),
        CONFIRMED,
        DISPATCHED,
        CANCELLED,
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

_TO_AUTHORIZING = [PLACED, RESERVED]
_TO_AUTHORIZED = [*_TO_AUTHORIZING, CARD_AUTHORIZED]
_TO_CAPTURING = [*_TO_AUTHORIZED, CONFIRMED]
_TO_CAPTURED = [*_TO_CAPTURING, CARD_CAPTURED]

PAYMENTS = DecisionTable(
    "payments",
    payment_service,
    "payments",
    statuses=PaymentStatus,
    histories={
        "new": [],
        "new, order known": [PLACED],
        "new, goods held": [RESERVED],
        "authorizing": _TO_AUTHORIZING,
        "authorizing, order cancelled": [*_TO_AUTHORIZING, CANCELLED],
        "authorized": _TO_AUTHORIZED,
        "declined": [*_TO_AUTHORIZING, CARD_DECLINED],
        "capturing": _TO_CAPTURING,
        "capturing, order cancelled": [*_TO_CAPTURING, CANCELLED],
        "captured": _TO_CAPTURED,
        "failed": [*_TO_CAPTURING, CARD_CAPTURE_REFUSED],
        "voiding": [*_TO_AUTHORIZED, CANCELLED],
        "voided": [*_TO_AUTHORIZED, CANCELLED, CARD_VOIDED],
        "refunding": [*_TO_CAPTURED, CANCELLED],
        "refunded": [*_TO_CAPTURED, CANCELLED, CARD_REFUNDED],
        "dropped": [CANCELLED],
        "needs reconciliation": [*_TO_CAPTURING, CARD_CAPTURED_HALF],
        "needs reconciliation, order cancelled": [*_TO_CAPTURING, CARD_CAPTURED_HALF, CANCELLED],
    },
    messages=named(
        PLACED,
        RESERVED,
        CONFIRMED,
        CANCELLED,
        AUTHORIZE,
        CARD_AUTHORIZED,
        (CARD_AUTHORIZED_HALF, " of half the amount"),
        CARD_DECLINED,
        CARD_NEVER_AUTHORIZED,
        CAPTURE,
        CARD_CAPTURED,
        (CARD_CAPTURED_HALF, " of half the amount"),
        CARD_CAPTURE_REFUSED,
        VOID,
        CARD_VOIDED,
        (CARD_VOIDED_HALF, " of half the amount"),
        REFUND,
        CARD_REFUNDED,
        (CARD_REFUNDED_HALF, " of half the amount"),
    ),
)

MAILS = DecisionTable(
    "mails",
    notification_service,
    "mails",
    statuses=MailStatus,
    histories={
        "new": [],
        "queued": [CONFIRMED],
        "sent": [CONFIRMED, MAIL_TAKEN],
        "undeliverable": [CONFIRMED, MAIL_REFUSED],
        "superseded": [CONFIRMED.model_copy(update={"order_id": OTHER_ORDER}), SEND_MAIL_OF_CANCELLED],
    },
    around=KNOWN_MAILS,
    messages=named(
        CONFIRMED,
        DISPATCHED,
        CANCELLED,
        REFUNDED,
        REGISTERED,
        PROOF_REQUESTED,
        RESET_REQUESTED,
        REGISTERED_AGAIN,
        PASSWORD_CHANGED,
        SEND_MAIL,
        (SEND_MAIL_OF_CANCELLED, ", order cancelled since"),
        MAIL_TAKEN,
        MAIL_REFUSED,
        MAIL_SUPERSEDED,
    ),
)

PRODUCTS = DecisionTable(
    "products",
    product_service,
    "products",
    statuses=ProductStatus,
    histories={"new": [], "listed": [LIST], "withdrawn": [LIST, WITHDRAW]},
    messages=named(
        LIST,
        (LIST_OTHERWISE, ", described otherwise"),
        CHANGE_PRICE,
        (KEEP_PRICE, " to the same"),
        WITHDRAW,
    ),
)

DECISION_TABLES = (ORDERS, PRICES, RESERVATIONS, RECEIPTS, PAYMENTS, MAILS, PRODUCTS, USERS)

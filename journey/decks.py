"""Example histories that lead each aggregate into each of its states, and all that it can then be told.

A new status or message is added here; the tests say so when it is missing.
"""

from inventory_svc.service import inventory_service
from inventory_svc.stock import Status as ReservationStatus
from journey.account_deck import USERS
from journey.examples import (
    AUTHORIZE,
    AUTHORIZED,
    CANCEL,
    CANCEL_BY_STRANGER,
    CANCELLED,
    CAPTURE,
    CARD_AUTHORIZED,
    CARD_CAPTURE_REFUSED,
    CARD_CAPTURED,
    CARD_DECLINED,
    CARD_NEVER_AUTHORIZED,
    CARD_REFUNDED,
    CARD_VOIDED,
    CHANGE_PRICE,
    CONFIRMED,
    DEADLINE,
    DEARER,
    DECLINED,
    DISPATCH,
    DISPATCHED,
    FAILED,
    KEEP_PRICE,
    LIST,
    LIST_OTHERWISE,
    LISTED,
    LISTED_AGAIN,
    MAIL_REFUSED,
    MAIL_TAKEN,
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
    SHELVES,
    VOID,
    WITHDRAW,
    WITHDRAWN,
)
from journey.tables import Deck
from notification_svc.mail import Status as MailStatus
from notification_svc.service import notification_service
from order_svc.order import Status as OrderStatus
from order_svc.service import order_service
from payment_svc.payment import Status as PaymentStatus
from payment_svc.service import payment_service
from product_svc.product import Status as ProductStatus
from product_svc.service import product_service

_TO_CONFIRMED = [PLACE, RESERVED, AUTHORIZED]

ORDERS = Deck(
    "orders",
    order_service,
    "orders",
    statuses=OrderStatus,
    around=PRICE_BOOK,
    histories={
        "new": [],
        "new, cancel asked before": [CANCEL],
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
    messages={
        "PlaceOrder": PLACE,
        "PlaceOrder, unknown article": PLACE_UNKNOWN,
        "PlaceOrder, other goods": PLACE_OTHER_GOODS,
        "CancelOrder": CANCEL,
        "CancelOrder by somebody else": CANCEL_BY_STRANGER,
        "StockReserved": RESERVED,
        "StockRejected": OUT_OF_STOCK,
        "PaymentAuthorized": AUTHORIZED,
        "PaymentDeclined": DECLINED,
        "PaymentFailed": FAILED,
        "DispatchOrder": DISPATCH,
        "DeadlinePassed": DEADLINE,
    },
)

PRICES = Deck(
    "prices",
    order_service,
    "prices",
    histories={
        "never heard of": [],
        "sold, revision 1": [LISTED],
        "sold, revision 2": [LISTED_AGAIN],
        "withdrawn, revision 2": [WITHDRAWN],
        "dearer, revision 2": [DEARER],
    },
    messages={
        "ProductListed, revision 1": LISTED,
        "ProductListed, revision 2": LISTED_AGAIN,
        "PriceChanged, revision 2": DEARER,
        "ProductWithdrawn, revision 2": WITHDRAWN,
    },
)

RESERVATIONS = Deck(
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
    messages={
        "OrderPlaced": PLACED,
        "OrderPlaced, one line short": PLACED_TOO_MANY,
        "OrderConfirmed": CONFIRMED,
        "OrderDispatched": DISPATCHED,
        "OrderCancelled": CANCELLED,
    },
)

RECEIPTS = Deck(
    "receipts",
    inventory_service,
    "receipts",
    around=SHELVES,
    histories={"new": [], "counted": [RECEIVE]},
    messages={"ReceiveStock": RECEIVE},
)

_TO_AUTHORIZING = [PLACED, RESERVED]
_TO_AUTHORIZED = [*_TO_AUTHORIZING, CARD_AUTHORIZED]
_TO_CAPTURING = [*_TO_AUTHORIZED, CONFIRMED]
_TO_CAPTURED = [*_TO_CAPTURING, CARD_CAPTURED]

PAYMENTS = Deck(
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
    },
    messages={
        "OrderPlaced": PLACED,
        "StockReserved": RESERVED,
        "OrderConfirmed": CONFIRMED,
        "OrderCancelled": CANCELLED,
        "Authorize": AUTHORIZE,
        "answer Authorized": CARD_AUTHORIZED,
        "answer Declined": CARD_DECLINED,
        "answer NeverAuthorized": CARD_NEVER_AUTHORIZED,
        "Capture": CAPTURE,
        "answer Captured": CARD_CAPTURED,
        "answer CaptureRefused": CARD_CAPTURE_REFUSED,
        "Void": VOID,
        "answer Voided": CARD_VOIDED,
        "Refund": REFUND,
        "answer Refunded": CARD_REFUNDED,
    },
)

MAILS = Deck(
    "mails",
    notification_service,
    "mails",
    statuses=MailStatus,
    histories={
        "new": [],
        "queued": [CONFIRMED],
        "sent": [CONFIRMED, MAIL_TAKEN],
        "undeliverable": [CONFIRMED, MAIL_REFUSED],
    },
    messages={
        "OrderConfirmed": CONFIRMED,
        "OrderDispatched": DISPATCHED,
        "OrderCancelled": CANCELLED,
        "PaymentRefunded": REFUNDED,
        "UserRegistered": REGISTERED,
        "AddressProofRequested": PROOF_REQUESTED,
        "PasswordResetRequested": RESET_REQUESTED,
        "RegisteredAgain": REGISTERED_AGAIN,
        "PasswordChanged": PASSWORD_CHANGED,
        "SendMail": SEND_MAIL,
        "answer Sent": MAIL_TAKEN,
        "answer Undeliverable": MAIL_REFUSED,
    },
)

PRODUCTS = Deck(
    "products",
    product_service,
    "products",
    statuses=ProductStatus,
    histories={"new": [], "listed": [LIST], "withdrawn": [LIST, WITHDRAW]},
    messages={
        "ListProduct": LIST,
        "ListProduct, described otherwise": LIST_OTHERWISE,
        "ChangePrice": CHANGE_PRICE,
        "ChangePrice to the same": KEEP_PRICE,
        "WithdrawProduct": WITHDRAW,
    },
)

DECKS = (ORDERS, PRICES, RESERVATIONS, RECEIPTS, PAYMENTS, MAILS, PRODUCTS, USERS)

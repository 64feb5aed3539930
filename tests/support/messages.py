"""Example messages about one order and its goods, for state tables and stories."""

from uuid import UUID

from contracts import inventory, notifications, orders, payments, products, users
from contracts.inventory import Shortage
from contracts.notifications import MailKind
from contracts.orders import CancelReason
from contracts.payments import DeclineReason, SettlementReason
from contracts.values import Money, OrderLine, PricedLine, ReturnedLine, ReturnTo
from inventory_svc.stock import Shelf
from notification_svc import mail as post
from order_svc.price import Price
from payment_svc import payment as card
from payment_svc.partial_refunds import SETTLED_OUTSIDE

ORDER = UUID("01980000-0000-7000-8000-000000000001")
RECEIPT = UUID("01980000-0000-7000-8000-000000000002")
REQUEST = UUID("01980000-0000-7000-8000-000000000003")
CUSTOMER = UUID("01980000-0000-7000-8000-00000000000a")
OTHER_CUSTOMER = UUID("01980000-0000-7000-8000-00000000000b")

KETTLE, MUG = "KETTLE-BLUE", "MUG-WHITE"
KETTLE_PRICE, MUG_PRICE = (Money(amount_minor=amount, currency="EUR") for amount in (2_500, 700))
TOTAL = Money(amount_minor=6_400, currency="EUR")
WANTED = (OrderLine(sku=KETTLE, quantity=2), OrderLine(sku=MUG, quantity=2))
PRICED = tuple(
    PricedLine(sku=line.sku, quantity=line.quantity, price=price)
    for line, price in zip(WANTED, (KETTLE_PRICE, MUG_PRICE), strict=True)
)

PRICE_BOOK = {KETTLE: Price(revision=1, money=KETTLE_PRICE), MUG: Price(revision=1, money=MUG_PRICE)}
FREE = Money(amount_minor=0, currency="EUR")
FREE_PRICE_BOOK = dict.fromkeys(PRICE_BOOK, Price(revision=1, money=FREE))
SHELVES = {sku: Shelf(sku, received=30, available=10, reserved=10, sold=10) for sku in (KETTLE, MUG)}

PLACE = orders.PlaceOrder(order_id=ORDER, customer_id=CUSTOMER, lines=WANTED, card_token="tok_visa_4242")
PLACE_OTHER_GOODS = PLACE.model_copy(update={"lines": WANTED[:1]})
PLACE_UNKNOWN = PLACE.model_copy(update={"lines": (OrderLine(sku="NO-SUCH-THING", quantity=1),)})
CANCEL = orders.CancelOrder(order_id=ORDER, customer_id=CUSTOMER)
CANCEL_BY_STRANGER = orders.CancelOrder(order_id=ORDER, customer_id=OTHER_CUSTOMER)
DISPATCH = orders.DispatchOrder(order_id=ORDER)
STAFF = UUID("01980000-0000-7000-8000-00000000000c")
CANCEL_AS_STAFF = orders.CancelAsStaff(order_id=ORDER, staff_id=STAFF)
TRACK = orders.RecordTracking(order_id=ORDER, tracking="RR123456785DE")
TRACK_AGAIN = TRACK.model_copy(update={"tracking": "RR999999999DE"})
DEADLINE = orders.DeadlinePassed(order_id=ORDER)

PLACED = orders.OrderPlaced(
    order_id=ORDER, customer_id=CUSTOMER, lines=PRICED, total=TOTAL, card_token=PLACE.card_token
)
PLACED_FREE = PLACED.model_copy(
    update={
        "lines": tuple(line.model_copy(update={"price": FREE}) for line in PRICED),
        "total": FREE,
        "card_token": orders.NO_CARD,
    }
)
TOO_MANY = PRICED[0].model_copy(update={"quantity": 99})
PLACED_TOO_MANY = PLACED.model_copy(update={"lines": (PRICED[1], TOO_MANY)})
CONFIRMED = orders.OrderConfirmed(order_id=ORDER, customer_id=CUSTOMER, total=TOTAL)
DISPATCHED = orders.OrderDispatched(order_id=ORDER, customer_id=CUSTOMER)
TRACKED = orders.TrackingRecorded(order_id=ORDER, customer_id=CUSTOMER, tracking=TRACK.tracking)
CANCELLED = orders.OrderCancelled(order_id=ORDER, customer_id=CUSTOMER, reason=CancelReason.CUSTOMER)

RESERVED = inventory.StockReserved(order_id=ORDER)
OUT_OF_STOCK = inventory.StockRejected(order_id=ORDER, short=(Shortage(sku=KETTLE, quantity=2, available=1),))
RECEIVE = inventory.ReceiveStock(receipt_id=RECEIPT, sku=KETTLE, quantity=5)

CORRECTION = UUID("01980000-0000-7000-8000-000000000005")
CORRECT = inventory.CorrectStock(
    correction_id=CORRECTION, sku=KETTLE, change=-3, reason=inventory.CorrectionReason.DAMAGE
)
CORRECT_TOO_MUCH = CORRECT.model_copy(update={"change": -11})
CORRECT_UPWARDS = CORRECT.model_copy(update={"change": 2, "reason": inventory.CorrectionReason.COUNT})

AUTHORIZED = payments.PaymentAuthorized(order_id=ORDER, amount=TOTAL)
DECLINED = payments.PaymentDeclined(order_id=ORDER, reason=DeclineReason.INSUFFICIENT_FUNDS)
FAILED = payments.PaymentFailed(order_id=ORDER, detail="the authorisation has expired")
MISMATCHED = payments.PaymentMismatched(
    order_id=ORDER,
    effect=payments.Effect.CAPTURE,
    detail="asked to capture 64.00 EUR, the card provider answers 32.00 EUR",
)
FAILED_AGAIN = FAILED.model_copy(update={"attempt": 1})
RETRY = payments.RetryPayment(order_id=ORDER, staff_id=STAFF)
PAID_OUTSIDE, WRITTEN_OFF, RETURNED_OUTSIDE = (
    payments.Settlement(reason=reason, amount=TOTAL, reference="BANK-815")
    for reason in (SettlementReason.PAID, SettlementReason.WRITTEN_OFF, SettlementReason.RETURNED)
)
RELEASED_OUTSIDE = payments.Settlement(reason=SettlementReason.RELEASED, amount=FREE, reference="BANK-816")
SETTLE = payments.SettlePayment(order_id=ORDER, staff_id=STAFF, settlement=PAID_OUTSIDE)
SETTLE_RETURNED = SETTLE.model_copy(update={"settlement": RETURNED_OUTSIDE})
SETTLE_RELEASED = SETTLE.model_copy(update={"settlement": RELEASED_OUTSIDE})
RESOLVED = payments.PaymentResolved(
    order_id=ORDER,
    effect=payments.Effect.CAPTURE,
    attempt=0,
    settlement=PAID_OUTSIDE,
    staff_id=STAFF,
)
PART, REST = (Money(amount_minor=amount, currency="EUR") for amount in (1_400, 5_000))
REFUND_ID = UUID("01980000-0000-7000-8000-00000000000d")
OTHER_REFUND_ID = UUID("01980000-0000-7000-8000-00000000000e")
REFUND_ORDER = orders.RefundOrder(order_id=ORDER, refund_id=REFUND_ID, staff_id=STAFF, amount=PART)
REFUND_REQUESTED = orders.RefundRequested(order_id=ORDER, refund_id=REFUND_ID, staff_id=STAFF, amount=PART)
TO_STOCK, WRITTEN_OFF_PIECE = (
    ReturnedLine(sku=sku, quantity=1, to=to)
    for sku, to in ((MUG, ReturnTo.STOCK), (MUG, ReturnTo.WRITTEN_OFF))
)
RETURNED = (TO_STOCK, WRITTEN_OFF_PIECE)
REFUND_GOODS = REFUND_ORDER.model_copy(update={"returned": RETURNED})
REFUND_GOODS_AGAIN = REFUND_GOODS.model_copy(update={"refund_id": OTHER_REFUND_ID})
REFUND_TOO_MANY_PIECES = REFUND_GOODS_AGAIN.model_copy(
    update={"returned": (ReturnedLine(sku=KETTLE, quantity=3, to=ReturnTo.STOCK),)}
)
GOODS_REQUESTED = REFUND_REQUESTED.model_copy(update={"returned": RETURNED})
GOODS_RETURNED = orders.GoodsReturned(order_id=ORDER, refund_id=REFUND_ID, returned=RETURNED)
GOODS_RETURNED_AGAIN = GOODS_RETURNED.model_copy(update={"refund_id": OTHER_REFUND_ID})
REFUND_REFUSED = payments.RefundRefused(
    order_id=ORDER, refund_id=REFUND_ID, detail="only 9.00 EUR of 64.00 EUR are left to refund"
)
GOODS_RETURNED_OUTSIDE = GOODS_RETURNED.model_copy(update={"settled_outside": True})
REFUND_SETTLED_OUTSIDE = payments.RefundRefused(
    order_id=ORDER, refund_id=REFUND_ID, detail=SETTLED_OUTSIDE, settled_outside=True
)
REFUND_TOO_MUCH = orders.RefundRequested(
    order_id=ORDER,
    refund_id=OTHER_REFUND_ID,
    staff_id=STAFF,
    amount=TOTAL.model_copy(update={"amount_minor": 6_401}),
)
REFUND_PART = payments.RefundPart(order_id=ORDER, refund_id=REFUND_ID)
PART_REFUNDED = payments.PaymentPartRefunded(
    order_id=ORDER, customer_id=CUSTOMER, refund_id=REFUND_ID, amount=PART, refunded=PART
)
AUTHORIZE, CAPTURE = payments.Authorize(order_id=ORDER), payments.Capture(order_id=ORDER)
VOID, REFUND = payments.Void(order_id=ORDER), payments.Refund(order_id=ORDER)

# Results from the card provider.
CARD_AUTHORIZED = card.Authorized("ref-1", TOTAL)
CARD_DECLINED = card.Declined(DeclineReason.INSUFFICIENT_FUNDS)
CARD_NEVER_AUTHORIZED = card.NeverAuthorized()
CARD_CAPTURED = card.Captured("ref-1", TOTAL)
CARD_CAPTURE_REFUSED = card.CaptureRefused("the authorisation has expired")
CARD_VOIDED, CARD_REFUNDED = card.Voided("ref-1", TOTAL), card.Refunded("ref-1", TOTAL)
CARD_NOT_VOIDED, CARD_NOT_REFUNDED = (
    card.NeverDone(f"{ORDER}:{effect}", f"nothing was done under {ORDER}:{effect}")
    for effect in ("void", "refund")
)
CARD_PART_REFUNDED = card.Refunded("ref-1", PART, REFUND_ID)
CARD_PART_HALF = card.Refunded("ref-1", Money(amount_minor=700, currency="EUR"), REFUND_ID)
CARD_PART_NOT_DONE = card.NeverDone(f"{ORDER}:part:{REFUND_ID}", "nothing was done")
HALF, POUNDS = (
    Money(amount_minor=amount, currency=code) for amount, code in ((3_200, "EUR"), (6_400, "GBP"))
)
CARD_AUTHORIZED_HALF, CARD_CAPTURED_HALF = card.Authorized("ref-1", HALF), card.Captured("ref-1", HALF)
CARD_VOIDED_HALF, CARD_REFUNDED_HALF = card.Voided("ref-1", HALF), card.Refunded("ref-1", HALF)

LISTED = products.ProductListed(
    sku=KETTLE, title="Kettle", category="kitchen", price=KETTLE_PRICE, revision=1
)
LISTED_AGAIN = LISTED.model_copy(update={"revision": 2})
DEARER = products.PriceChanged(sku=KETTLE, price=Money(amount_minor=2_900, currency="EUR"), revision=2)
WITHDRAWN = products.ProductWithdrawn(sku=KETTLE, revision=2)

LIST = products.ListProduct(sku=KETTLE, title="Kettle", category="kitchen", price=KETTLE_PRICE)
LIST_OTHERWISE = LIST.model_copy(update={"title": "Kettle, blue"})
CHANGE_PRICE = products.ChangePrice(sku=KETTLE, price=DEARER.price)
KEEP_PRICE = products.ChangePrice(sku=KETTLE, price=KETTLE_PRICE)
WITHDRAW = products.WithdrawProduct(sku=KETTLE)

REFUNDED = payments.PaymentRefunded(order_id=ORDER, customer_id=CUSTOMER, amount=TOTAL)
REGISTERED = users.UserRegistered(user_id=CUSTOMER)
PROOF_REQUESTED = users.AddressProofRequested(request_id=REQUEST, user_id=CUSTOMER)
RESET_REQUESTED = users.PasswordResetRequested(request_id=REQUEST, user_id=CUSTOMER)
REGISTERED_AGAIN = users.RegisteredAgain(request_id=REQUEST, user_id=CUSTOMER)
PASSWORD_CHANGED = users.PasswordChanged(request_id=REQUEST, user_id=CUSTOMER)
EMAIL_CHANGED = users.EmailChanged(request_id=REQUEST, user_id=CUSTOMER)
OTHER_ORDER = UUID("01980000-0000-7000-8000-000000000004")
SEND_MAIL_OF_CANCELLED = notifications.SendMail(about=OTHER_ORDER, kind=MailKind.ORDER_CONFIRMED)
CANCELLED_MEANWHILE = post.Mail(post.MailStatus.QUEUED, OTHER_ORDER, MailKind.ORDER_CANCELLED, CUSTOMER)
KNOWN_MAILS = {f"{OTHER_ORDER}:{MailKind.ORDER_CANCELLED}": CANCELLED_MEANWHILE}
SEND_MAIL = notifications.SendMail(about=ORDER, kind=MailKind.ORDER_CONFIRMED)

# Results from the mailer.
MAIL_TAKEN, MAIL_REFUSED = post.Sent(), post.Undeliverable("the mail server refused it for good")
MAIL_SUPERSEDED = post.Superseded(MailKind.PASSWORD_CHANGED)

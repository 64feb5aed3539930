"""Histories of orders for the tests of diagrams: what each service has recorded, second by second."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from chassis.messaging.message import Message
from chassis.web.journey_history import RecordedTimes
from contracts import inventory, notifications, orders, payments
from journey.admin.diagnosis.journey_history import HistoryEntry, JourneyHistory
from journey.admin.diagnosis.pending_messages import PendingDelivery, SentMessage, awaited
from tests.support.stuck_order_fixtures import ID

BEGAN = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
ASKED = frozenset(("order_svc", "inventory_svc", "payment_svc", "notification_svc"))


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


class RecordedHistory:
    """Collects what the services recorded. A message's id is the name of its contract."""

    def __init__(self) -> None:
        self.entries: list[HistoryEntry] = []
        self._sent_at: dict[str, float] = {}

    def sent(self, contract: type[Message], at: float) -> None:
        """From outside the services."""
        self._sent_at[contract.__name__] = at

    def handled(
        self,
        contract: type[Message],
        service: str,
        at: float,
        *,
        emits: Collection[type[Message]] = (),
        queued: float = 0.01,
        effect: tuple[float, float] | None = None,
        failed_attempts: int = 0,
        postponed: int = 0,
        status: tuple[str, str] = ("", ""),
    ) -> None:
        """Handled `at` seconds after the begin, and received `queued` seconds after it was sent."""
        began, ended = map(after, effect) if effect else (None, None)
        sent_at = self._sent_at[contract.__name__]
        times = RecordedTimes(
            sent_at=after(sent_at),
            received_at=after(sent_at + queued),
            effect_began_at=began,
            effect_ended_at=ended,
            failed_attempts=failed_attempts,
            postponed=postponed,
        )
        emitted_messages = tuple(emitted(each, at) for each in emits)
        self._sent_at |= {each.__name__: at for each in emits}
        status_from, status_to = status
        self.entries.append(
            HistoryEntry(
                service,
                "any",
                ID,
                contract.__name__,
                contract.TYPE,
                after(at),
                status_from,
                status_to,
                emitted_messages,
                times,
            )
        )

    def without(self, *silent: str) -> JourneyHistory:
        """As it is read while these services do not respond."""
        entries = [entry for entry in self.entries if entry.service not in silent]
        return JourneyHistory(sorted(entries, key=lambda entry: entry.at), list(silent))


def pending(history: JourneyHistory) -> list[PendingDelivery]:
    """The messages that a service has not handled, or whose service does not respond."""
    sent = [
        SentMessage(each["id"], each["type"], ID, entry.at, entry.service)
        for entry in history.entries
        for each in entry.says
    ]
    handled = {
        service: {entry.message_id for entry in history.entries if entry.service == service}
        for service in ASKED - set(history.silent)
    }
    return awaited(sent, handled)


def emitted(contract: type[Message], at: float) -> dict[str, str]:
    """As `says` of a history contains it."""
    time = after(at).isoformat()
    return {"id": contract.__name__, "type": contract.TYPE, "time": time, "subject": ID, "body": "{}"}


def placed() -> RecordedHistory:
    """An order that is placed, with its stock reserved, and its payment requested at 0.08 s."""
    history = RecordedHistory()
    history.sent(orders.PlaceOrder, 0.0)
    history.handled(
        orders.PlaceOrder, "order_svc", 0.02, emits=[orders.OrderPlaced], status=("new", "placed")
    )
    history.handled(orders.OrderPlaced, "inventory_svc", 0.05, emits=[inventory.StockReserved])
    history.handled(orders.OrderPlaced, "payment_svc", 0.04)
    history.handled(inventory.StockReserved, "payment_svc", 0.08, emits=[payments.Authorize])
    history.handled(inventory.StockReserved, "order_svc", 0.07)
    return history


def confirmed() -> RecordedHistory:
    """The provider takes 0.3 s."""
    history = placed()
    history.handled(
        payments.Authorize, "payment_svc", 0.4, emits=[payments.PaymentAuthorized], effect=(0.1, 0.4)
    )
    history.handled(
        payments.PaymentAuthorized,
        "order_svc",
        0.42,
        emits=[orders.OrderConfirmed],
        status=("placed", "confirmed"),
    )
    history.handled(orders.OrderConfirmed, "inventory_svc", 0.45, emits=[inventory.StockCommitted])
    history.handled(orders.OrderConfirmed, "payment_svc", 0.46, emits=[payments.Capture])
    history.handled(
        payments.Capture, "payment_svc", 0.7, emits=[payments.PaymentCaptured], effect=(0.48, 0.7)
    )
    history.handled(orders.OrderConfirmed, "notification_svc", 0.5, emits=[notifications.SendMail])
    history.handled(
        notifications.SendMail, "notification_svc", 0.9, emits=[notifications.MailSent], effect=(0.6, 0.9)
    )
    return history

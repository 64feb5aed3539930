"""The way back: what is undone once an order is cancelled, in the order in which it happens."""

from contracts import inventory, orders, payments
from contracts.orders import CancelReason
from gateway.journey import Status
from gateway.stops import SLOW_PROVIDER, Facts, State, Stop
from gateway.wording import MISMATCHED, REASONS


def way_back(facts: Facts) -> tuple[Stop, ...]:
    if facts.journey.status is not Status.CANCELLED:
        return ()
    reason = facts.journey.cancel_reason
    state = State.UNDONE if reason is CancelReason.CUSTOMER else State.FAILED
    why = REASONS[reason] if reason else ""
    cancelled = Stop("cancelled", state, "Order cancelled", why, facts.when(orders.OrderCancelled))
    return (cancelled, *(stop for stop in (_items(facts), _money(facts)) if stop))


def is_undone(facts: Facts) -> bool:
    return not any(stop.state.going_on for stop in way_back(facts))


def _items(facts: Facts) -> Stop | None:
    """The warehouse has nothing to release if it held nothing; it says so by saying nothing."""
    if told := facts.said(inventory.StockReleased):
        return Stop("items", State.UNDONE, "Items released", "Others can have them now.", told.at)
    if not facts.reserved:
        return None
    slow = "It takes longer than usual. We go on by ourselves."
    return facts.going_on(
        Stop("items", State.WORKING, "Releasing the items…"),
        facts.when(orders.OrderCancelled),
        Stop("items", State.WAITING, "Items not released yet", slow),
    )


def _money(facts: Facts) -> Stop | None:
    if told := facts.said(payments.PaymentRefunded):
        return Stop("money", State.UNDONE, "Money given back", f"{facts.total} goes back to your card.", told.at)
    if told := facts.said(payments.PaymentVoided):
        return Stop("money", State.UNDONE, "Payment let go", "Nothing was charged.", told.at)
    if told := facts.said(payments.PaymentMismatched):
        return Stop("money", State.FAILED, "Payment being checked", MISMATCHED, told.at)
    if not facts.authorized:
        return None
    taken = facts.said(payments.PaymentCaptured) is not None
    return facts.going_on(
        Stop("money", State.WORKING, "Giving your money back…" if taken else "Letting the payment go…"),
        facts.when(orders.OrderCancelled),
        Stop("money", State.WAITING, "Money not given back yet" if taken else "Payment not let go yet", SLOW_PROVIDER),
    )

"""The compensation of a cancelled order as customers see it: items released, money refunded."""

from contracts import inventory, orders, payments
from contracts.orders import CancelReason
from gateway.orders.messages import CANCELLATION_MESSAGES, MISMATCHED
from gateway.orders.progress_steps import SLOW_PROVIDER, OrderFacts
from gateway.orders.step_state import ProgressStep, StepState
from gateway.orders.timeline import TimelineStatus


def compensation_steps(facts: OrderFacts) -> tuple[ProgressStep, ...]:
    if facts.timeline.status is not TimelineStatus.CANCELLED:
        return ()
    reason = facts.timeline.cancel_reason
    state = StepState.UNDONE if reason is CancelReason.CUSTOMER else StepState.FAILED
    why = CANCELLATION_MESSAGES[reason] if reason else ""
    cancelled = ProgressStep(
        "cancelled", state, "Order cancelled", why, facts.occurred_at(orders.OrderCancelled)
    )
    return (cancelled, *(step for step in (_items(facts), _money(facts)) if step))


def is_compensated(facts: OrderFacts) -> bool:
    return not any(step.state.in_progress for step in compensation_steps(facts))


def _items(facts: OrderFacts) -> ProgressStep | None:
    """None if nothing was reserved: inventory_svc then publishes no StockReleased."""
    if entry := facts.first_entry(inventory.StockReleased):
        return ProgressStep(
            "items",
            StepState.UNDONE,
            "Items released",
            "They are available to other customers again.",
            entry.at,
        )
    if not facts.reserved:
        return None
    slow = "This is taking longer than usual. We keep trying automatically."
    return facts.in_progress_step(
        ProgressStep("items", StepState.WORKING, "Releasing the items…"),
        facts.occurred_at(orders.OrderCancelled),
        ProgressStep("items", StepState.WAITING, "Items not released yet", slow),
    )


def _money(facts: OrderFacts) -> ProgressStep | None:
    if entry := facts.first_entry(payments.PaymentRefunded):
        return ProgressStep(
            "money", StepState.UNDONE, "Refund issued", f"{facts.total} is refunded to your card.", entry.at
        )
    if entry := facts.first_entry(payments.PaymentVoided):
        return ProgressStep("money", StepState.UNDONE, "Payment released", "Nothing was charged.", entry.at)
    if entry := facts.first_entry(payments.PaymentMismatched):
        return ProgressStep("money", StepState.FAILED, "Payment being checked", MISMATCHED, entry.at)
    if not facts.authorized:
        return None
    taken = facts.first_entry(payments.PaymentCaptured) is not None
    return facts.in_progress_step(
        ProgressStep(
            "money",
            StepState.WORKING,
            "Issuing your refund…" if taken else "Releasing the hold on your card…",
        ),
        facts.occurred_at(orders.OrderCancelled),
        ProgressStep(
            "money",
            StepState.WAITING,
            "Refund not issued yet" if taken else "Payment not released yet",
            SLOW_PROVIDER,
        ),
    )

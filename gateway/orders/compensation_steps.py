"""The compensation of a cancelled order as customers see it: items released, money refunded."""

from contracts import orders, payments
from contracts.order_saga import CAPTURE, RELEASE, VOID_OR_REFUND
from contracts.orders import CancelReason
from gateway.orders.messages import CANCELLATION_MESSAGES, MISMATCHED
from gateway.orders.order_facts import OrderFacts
from gateway.orders.progress_steps import SLOW_PROVIDER, in_progress_step
from gateway.orders.step_state import ProgressStep, StepState
from gateway.orders.timeline import TimelineEntry, TimelineStatus


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
    if entry := facts.first_entry(*RELEASE.results):
        return ProgressStep(
            "items",
            StepState.UNDONE,
            "Items released",
            "They are available to other customers again.",
            entry.at,
        )
    if not RELEASE.is_awaited(facts.occurred):
        return None
    slow = "This is taking longer than usual. We keep trying automatically."
    return in_progress_step(
        facts,
        ProgressStep("items", StepState.WORKING, "Releasing the items…"),
        facts.occurred_at(orders.OrderCancelled),
        slow=ProgressStep("items", StepState.WAITING, "Items not released yet", slow),
    )


def _money(facts: OrderFacts) -> ProgressStep | None:
    """None if nothing was authorised, as far as payment_svc has published, or there is nothing to pay."""
    if facts.timeline.is_free:
        return None
    if entry := facts.first_entry(*VOID_OR_REFUND.results):
        return _returned_money(facts, entry)
    if not VOID_OR_REFUND.is_awaited(facts.occurred):
        return None
    taken = facts.first_entry(*CAPTURE.done) is not None
    return in_progress_step(
        facts,
        ProgressStep(
            "money",
            StepState.WORKING,
            "Issuing your refund…" if taken else "Releasing the hold on your card…",
        ),
        facts.occurred_at(orders.OrderCancelled),
        slow=ProgressStep(
            "money",
            StepState.WAITING,
            "Refund not issued yet" if taken else "Payment not released yet",
            SLOW_PROVIDER,
        ),
    )


def _returned_money(facts: OrderFacts, result: TimelineEntry) -> ProgressStep:
    match result.type:
        case payments.PaymentRefunded.TYPE:
            sentence = f"{facts.total} is refunded to your card."
            return ProgressStep("money", StepState.UNDONE, "Refund issued", sentence, result.at)
        case payments.PaymentVoided.TYPE:
            return ProgressStep(
                "money", StepState.UNDONE, "Payment released", "Nothing was charged.", result.at
            )
        case _:
            return ProgressStep("money", StepState.FAILED, "Payment being checked", MISMATCHED, result.at)

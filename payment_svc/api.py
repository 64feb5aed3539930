"""The read API of payments and of the simulated provider's ledger, so that the two can be compared."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from chassis.core.codec import Codec
from chassis.runtime import Runtime
from chassis.store.conditions import Where
from chassis.store.protocol import Loaded
from chassis.web.app import Limit
from chassis.web.problems import ALWAYS, problem_response, problem_responses
from contracts.http.payments import UNRESOLVED, Hold, PaymentPage, PaymentStatus, PaymentView, RefundView
from contracts.values import Id, Money
from payment_svc.ledger import LedgerEntry, Outcome
from payment_svc.payment import Payment
from payment_svc.resolution import retryable
from payment_svc.simulator import SimulatedProvider

_payments = Codec(Payment)
_NEED_STAFF = (
    *({"status": status.value} for status in sorted(UNRESOLVED)),
    {"hold": Hold.UNCLEAR.value},
)
_STAFF_DESCRIPTION = "only the payments about which staff have to decide, whatever their status"
_ORDERS_DESCRIPTION = "only the payments of these orders; all other parameters are then ignored"


class LedgerEntryView(BaseModel):
    """What the provider did under one idempotency key."""

    key: str
    effect: str
    reference: str
    amount: Money
    outcome: Outcome
    detail: str


class LedgerPage(BaseModel):
    """`next`: the `after` of the following page; null on the last one."""

    items: list[LedgerEntryView]
    next: str | None


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["payments"], responses=ALWAYS)

    @router.get("/payments/{order_id}", response_model=PaymentView, responses=problem_responses(404))
    async def payment(order_id: Id) -> Any:
        """The payment of one order."""
        loaded = (await runtime.store.load("payments", [str(order_id)]))[str(order_id)]
        return (
            _payment_view(loaded)
            if loaded.state
            else problem_response(404, "No such payment", f"there is no payment for order {order_id}")
        )

    @router.get("/payments")
    async def payments(
        status: PaymentStatus | None = None,
        after: Id | None = None,
        limit: Limit = 20,
        oldest_first: bool = False,
        needs_staff: Annotated[bool, Query(description=_STAFF_DESCRIPTION)] = False,
        order_id: Annotated[list[Id] | None, Query(max_length=100, description=_ORDERS_DESCRIPTION)] = None,
    ) -> PaymentPage:
        """A page of payments, by the time of their orders, newest first or oldest first."""
        if order_id is not None:
            keys = list(dict.fromkeys(str(each) for each in order_id))
            read = await runtime.store.load("payments", keys)
            return PaymentPage(items=[_payment_view(read[key]) for key in keys if read[key].state], next=None)
        of_status = {} if status is None else {"status": status.value}
        found = await _found(
            runtime, _NEED_STAFF if needs_staff else (of_status,), after, limit + 1, oldest_first=oldest_first
        )
        items = [_payment_view(loaded) for loaded in found[:limit]]
        return PaymentPage(items=items, next=items[-1].order_id if len(found) > limit else None)

    return router


async def _found(
    runtime: Runtime, wheres: Sequence[Where], after: UUID | None, limit: int, *, oldest_first: bool
) -> list[Loaded]:
    """The first payments that fulfil any of the conditions."""
    found: dict[str, Loaded] = {}
    for where in wheres:
        some = await runtime.store.find(
            "payments", where, after=str(after or ""), limit=limit, newest_first=not oldest_first
        )
        found |= {loaded.key: loaded for loaded in some}
    return [found[key] for key in sorted(found, reverse=not oldest_first)][:limit]


def ledger_routes(provider: SimulatedProvider) -> APIRouter:
    """Only with the simulator: a real provider does not publish its ledger."""
    router = APIRouter(tags=["provider"], responses=ALWAYS)

    @router.get("/provider/ledger")
    async def ledger(
        after: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> LedgerPage:
        """A page of the provider's ledger, by idempotency key, which is `<order id>:<effect>`."""
        found = await provider.ledger(after, limit + 1)
        items = [_ledger_entry(key, entry) for key, entry in found[:limit]]
        return LedgerPage(items=items, next=items[-1].key if len(found) > limit else None)

    return router


def outage_routes(provider: SimulatedProvider) -> APIRouter:
    """A test aid, never for production: switches the simulated provider off and on at run time."""
    router = APIRouter(tags=["provider"], responses=ALWAYS)

    @router.put("/provider/outage", status_code=204)
    async def begin() -> None:
        provider.outage = True

    @router.delete("/provider/outage", status_code=204)
    async def end() -> None:
        provider.outage = False

    return router


def _payment_view(loaded: Loaded) -> PaymentView:
    assert loaded.state is not None
    payment: Payment = _payments.load(loaded.state)
    return PaymentView(
        order_id=UUID(loaded.key),  # a payment whose stock result came first has no order yet, but its id
        customer_id=payment.customer_id,
        status=payment.status,
        total=payment.total,
        cancelled=payment.cancelled,
        reference=payment.reference,
        detail=payment.detail,
        may_retry=retryable(payment) is not None,
        settlements=payment.settlements,
        hold=payment.hold,
        refunds=tuple(
            RefundView(
                refund_id=refund.refund_id, amount=refund.amount, done=refund.done, unclear=refund.unclear
            )
            for refund in payment.refunds
        ),
        changed_at=loaded.changed_at,
    )


def _ledger_entry(key: str, entry: LedgerEntry) -> LedgerEntryView:
    return LedgerEntryView(
        key=key,
        effect=entry.effect,
        reference=entry.reference,
        amount=entry.amount,
        outcome=entry.outcome,
        detail=entry.detail,
    )

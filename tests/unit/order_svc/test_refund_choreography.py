"""Refunds with goods that come back, in every order of arrival at three services."""

from collections import Counter
from collections.abc import Callable

import pytest

from chassis.messaging.message import Event
from contracts.http.orders import OrderStatus, RefundStatus
from contracts.http.payments import PaymentStatus
from contracts.orders import RefundNotPossible, RefundOrder
from contracts.payments import PaymentPartRefunded, RefundRefused, SettlePayment
from contracts.values import Money
from tests.support.choreography import Provider, World
from tests.support.explored import world
from tests.support.messages import (
    DISPATCH,
    MUG,
    PLACE,
    REFUND_GOODS,
    REFUND_GOODS_AGAIN,
    REFUND_ID,
    SETTLE,
    SETTLE_RELEASED,
    SETTLE_RETURNED,
    TOTAL,
)
from tests.unit.order_svc.test_choreography import explored_worlds

ALL_BUT_A_CENT = REFUND_GOODS_AGAIN.model_copy(
    update={"amount": Money(amount_minor=TOTAL.amount_minor - 1, currency="EUR"), "returned": ()}
)
ONE_PIECE = REFUND_GOODS_AGAIN.model_copy(
    update={"amount": Money(amount_minor=700, currency="EUR"), "returned": REFUND_GOODS.returned[:1]}
)


def chosen(here: World, wanted: Callable[[str], bool]) -> World:
    # the last: an answer of the provider comes before the same request once more
    return [there for what, there in here.choices() if wanted(what)][-1]


def dispatched(provider: Provider) -> World:
    """As early as order_svc can dispatch: the others do not know of the confirmation yet."""
    here = world(5, provider).carrying(PLACE)
    while here.state("orders", PLACE.order_id).status is not OrderStatus.CONFIRMED:
        here = chosen(here, lambda what: "lost" not in what and "DeadlinePassed" not in what)
    here = chosen(here.carrying(DISPATCH), lambda what: "DispatchOrder" in what)
    assert len([pending for pending in here.waiting if not pending.optional]) == 3
    return here


@pytest.mark.parametrize(
    ("other", "refused_by"),
    [
        (REFUND_GOODS_AGAIN, RefundNotPossible),
        (ALL_BUT_A_CENT, RefundRefused),
        (ONE_PIECE, RefundNotPossible),
    ],
)
def test_two_refunds_end_well_in_any_order(other: RefundOrder, refused_by: type[Event]) -> None:
    """Both ask for the same pieces, or for more than the total. The second is refused, and none is lost."""
    start = dispatched(Provider()).carrying(REFUND_GOODS, optional=True).carrying(other, optional=True)
    ends: Counter[tuple[tuple[str, ...], int]] = Counter()
    refused: set[type[Event]] = set()
    for here in explored_worlds(start):
        if here.quiet:
            order, shelf = here.state("orders", PLACE.order_id), here.states["shelves", MUG]
            statuses = sorted(str(refund.status) for refund in order.refunds)
            ends[tuple(statuses), shelf.sold] += 1
            refused |= here.emitted & {RefundNotPossible, RefundRefused}
            assert shelf.received == 5 - sum(
                line.to == "written_off"
                for refund in order.refunds
                if refund.status is RefundStatus.DONE
                for line in refund.returned
            )
    kept = {sold for (_, sold) in ends}
    assert {0, 2} <= kept, "in some worlds both mugs came back, in others none"
    assert refused == {refused_by}
    assert (("done", "refused") in {statuses for statuses, _ in ends}) == (refused_by is RefundRefused)


def test_goods_return_whether_staff_settle_before_or_after() -> None:
    """Nothing is captured. A refund that payment_svc knows before the settlement is refused, and leaves its
    pieces to the next one; after the settlement the goods come back, and no money moves.
    """
    ends: set[tuple[bool, tuple[str, ...]]] = set()
    for here in explored_worlds(dispatched(Provider(captures=False)).carrying(SETTLE).carrying(REFUND_GOODS)):
        if not here.quiet:
            continue
        is_settled = bool(here.state("payments", PLACE.order_id).settlements)
        statuses = _statuses_of_refunds(here)
        ends.add((is_settled, statuses))
        if is_settled:
            again = explored_worlds(here.carrying(REFUND_GOODS_AGAIN))
            later = {_statuses_of_refunds(there) for there in again if there.quiet}
            assert later == {tuple(sorted({*statuses, "goods_only"}))}
    assert ends == {(True, ("goods_only",)), (True, ("refused",)), (False, ("refused",))}


def _statuses_of_refunds(here: World) -> tuple[str, ...]:
    """The goods are back exactly if a refund is for goods only, and never with money."""
    statuses = tuple(sorted(str(each.status) for each in here.state("orders", PLACE.order_id).refunds))
    assert here.states["shelves", MUG].sold == (0 if RefundStatus.GOODS_ONLY in statuses else 2)
    assert PaymentPartRefunded not in here.emitted
    return statuses


@pytest.mark.parametrize(("settle", "kept"), [(SETTLE_RELEASED, 2), (SETTLE_RETURNED, 0)])
def test_the_goods_follow_what_staff_settle_in_any_order(settle: SettlePayment, kept: int) -> None:
    """Only payment_svc knows yet that the card provider's answer differs."""
    provider = Provider(misreported=frozenset({f"part:{REFUND_ID}"}))
    here = dispatched(provider).carrying(REFUND_GOODS)
    while here.state("payments", PLACE.order_id).status is not PaymentStatus.NEEDS_RECONCILIATION:
        here = chosen(here, lambda what: what.startswith("payments hears") or "RefundOrder" in what)
    quiet = [there for there in explored_worlds(here.carrying(settle)) if there.quiet]
    assert quiet
    for there in quiet:
        assert there.state("orders", PLACE.order_id).status is OrderStatus.DISPATCHED
        assert there.states["shelves", MUG].sold == kept
        assert (PaymentPartRefunded in there.emitted) == (kept == 0)

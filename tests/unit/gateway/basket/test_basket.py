"""The rules of a basket: its commands, its limits, and its revision."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.decision import Context
from contracts.values import LINES_MAX, QUANTITY_MAX
from gateway.basket.basket import (
    AddItem,
    Basket,
    BasketChanged,
    BasketCommand,
    BasketFull,
    BasketItem,
    Clear,
    Merge,
    ReplaceItems,
    SetQuantity,
    decide,
)

TEA = BasketItem("TEA", 2)
CUP = BasketItem("CUP", 1)
POT = BasketItem("POT", 3)
HELD = Basket(revision=7, items=(TEA, CUP))


def after(basket: Basket, *asked: BasketCommand) -> Basket:
    for each in asked:
        basket = decide(basket, each, Context()).state
    return basket


def test_added_quantities_are_summed() -> None:
    assert after(HELD, AddItem(BasketItem("TEA", 3)), AddItem(POT)).items == (BasketItem("TEA", 5), CUP, POT)


def test_setting_a_quantity_replaces_it_and_zero_removes_it() -> None:
    assert after(HELD, SetQuantity("TEA", 9)).items == (BasketItem("TEA", 9), CUP)
    assert after(HELD, SetQuantity("TEA", 0)).items == (CUP,)
    assert after(HELD, SetQuantity("POT", 0)) == HELD


def test_a_submitted_form_replaces_all_items() -> None:
    assert after(
        HELD, ReplaceItems((BasketItem("TEA", 1), BasketItem("CUP", 0)), expected_revision=7)
    ).items == (BasketItem("TEA", 1),)


@pytest.mark.parametrize(
    "asked", [SetQuantity("TEA", 1, expected_revision=6), ReplaceItems((TEA,), expected_revision=6)]
)
def test_changes_require_the_current_revision(asked: BasketCommand) -> None:
    with pytest.raises(BasketChanged):
        decide(HELD, asked, Context())


def test_only_a_change_increments_the_revision() -> None:
    assert after(HELD, SetQuantity("TEA", 2), ReplaceItems((TEA, CUP), expected_revision=7)).revision == 7
    assert after(HELD, SetQuantity("TEA", 3)).revision == 8


def test_clearing_keeps_items_added_after_the_checkout() -> None:
    assert after(HELD, Clear(expected_revision=7)) == Basket(revision=8)
    assert after(HELD, AddItem(POT), Clear(expected_revision=7)).items == (TEA, CUP, POT)
    assert after(HELD, Clear(expected_revision=7), Clear(expected_revision=7)) == Basket(revision=8)


@pytest.mark.parametrize(
    "asked",
    [
        AddItem(BasketItem("TEA", 99)),
        SetQuantity("TEA", 101),
        ReplaceItems((BasketItem("TEA", 101),), expected_revision=7),
    ],
)
def test_exceeding_the_limits_of_an_order_is_rejected(asked: BasketCommand) -> None:
    with pytest.raises(BasketFull):
        decide(HELD, asked, Context())


def test_a_merged_guest_basket_is_cut_to_the_limits() -> None:
    assert after(HELD, Merge((BasketItem("TEA", 99), POT), "a merge")).items == (
        BasketItem("TEA", 100),
        CUP,
        POT,
    )
    many = tuple(BasketItem(f"A{number}", 1) for number in range(LINES_MAX))
    assert after(HELD, Merge(many, "a merge")).items == (TEA, CUP, *many[: LINES_MAX - 2])


items = st.builds(BasketItem, st.sampled_from([f"A{number}" for number in range(60)]), st.integers(0, 130))
asked = st.one_of(
    st.builds(SetQuantity, st.sampled_from(["A1", "A2"]), st.integers(0, 130)),
    st.builds(AddItem, items),
    st.builds(Merge, st.lists(items, max_size=60).map(tuple)),
    st.builds(Clear, st.integers(0, 5)),
)


@given(st.lists(asked, max_size=12))
def test_a_basket_never_exceeds_the_limits_of_an_order(asking: Iterable[BasketCommand]) -> None:
    basket = Basket()
    for each in asking:
        try:
            changed = decide(basket, each, Context()).state
        except BasketFull:
            continue
        assert changed.revision == basket.revision + (changed.items != basket.items)
        assert len({item.sku for item in changed.items}) == len(changed.items) <= LINES_MAX
        assert all(1 <= item.quantity <= QUANTITY_MAX for item in changed.items)
        basket = changed

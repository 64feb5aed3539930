"""A basket's rules: what goes in, what it can hold, and that its revision counts changes."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.values import LINES_MAX, QUANTITY_MAX
from gateway.basket import Add, Asked, Basket, Changed, Clear, Fill, Full, Item, Merge, Put, decide

TEA, CUP, POT = Item("TEA", 2), Item("CUP", 1), Item("POT", 3)
HELD = Basket(revision=7, items=(TEA, CUP))


def after(basket: Basket, *asked: Asked) -> Basket:
    for each in asked:
        basket = decide(basket, each).state
    return basket


def test_what_is_added_comes_on_top() -> None:
    assert after(HELD, Add(Item("TEA", 3)), Add(POT)).items == (Item("TEA", 5), CUP, POT)


def test_what_is_put_counts_alone_and_none_takes_it_out() -> None:
    assert after(HELD, Put("TEA", 9)).items == (Item("TEA", 9), CUP)
    assert after(HELD, Put("TEA", 0)).items == (CUP,)
    assert after(HELD, Put("POT", 0)) == HELD


def test_a_whole_form_counts_as_it_stands() -> None:
    assert after(HELD, Fill((Item("TEA", 1), Item("CUP", 0)), seen=7)).items == (Item("TEA", 1),)


@pytest.mark.parametrize("asked", [Put("TEA", 1, seen=6), Fill((TEA,), seen=6)])
def test_nobody_changes_what_they_have_not_seen(asked: Asked) -> None:
    with pytest.raises(Changed):
        decide(HELD, asked)


def test_only_a_change_counts_as_one() -> None:
    assert after(HELD, Put("TEA", 2), Fill((TEA, CUP), seen=7)).revision == 7
    assert after(HELD, Put("TEA", 3)).revision == 8


def test_what_was_ordered_goes_and_what_came_meanwhile_stays() -> None:
    assert after(HELD, Clear(seen=7)) == Basket(revision=8)
    assert after(HELD, Add(POT), Clear(seen=7)).items == (TEA, CUP, POT)
    assert after(HELD, Clear(seen=7), Clear(seen=7)) == Basket(revision=8)


@pytest.mark.parametrize("asked", [Add(Item("TEA", 99)), Put("TEA", 101), Fill((Item("TEA", 101),), seen=7)])
def test_more_than_an_order_may_have_is_refused(asked: Asked) -> None:
    with pytest.raises(Full):
        decide(HELD, asked)


def test_a_guests_basket_is_cut_to_what_fits() -> None:
    assert after(HELD, Merge((Item("TEA", 99), POT), "a merge")).items == (Item("TEA", 100), CUP, POT)
    many = tuple(Item(f"A{number}", 1) for number in range(LINES_MAX))
    assert after(HELD, Merge(many, "a merge")).items == (TEA, CUP, *many[: LINES_MAX - 2])


items = st.builds(Item, st.sampled_from([f"A{number}" for number in range(60)]), st.integers(0, 130))
asked = st.one_of(
    st.builds(Put, st.sampled_from(["A1", "A2"]), st.integers(0, 130)),
    st.builds(Add, items),
    st.builds(Merge, st.lists(items, max_size=60).map(tuple)),
    st.builds(Clear, st.integers(0, 5)),
)


@given(st.lists(asked, max_size=12))
def test_it_never_holds_more_than_an_order_may_have(asking: Iterable[Asked]) -> None:
    basket = Basket()
    for each in asking:
        try:
            changed = decide(basket, each).state
        except Full:
            continue
        assert changed.revision == basket.revision + (changed.items != basket.items)
        assert len({item.sku for item in changed.items}) == len(changed.items) <= LINES_MAX
        assert all(1 <= item.quantity <= QUANTITY_MAX for item in changed.items)
        basket = changed

"""Stories about the price book: newer news counts, in whatever order it arrives."""

from itertools import permutations

import pytest

from chassis.decision import OutOfTurn
from contracts.products import PriceChanged, ProductListed, ProductWithdrawn
from tests.decks import PRICES
from tests.examples import DEARER, LISTED, PLACE, WITHDRAWN
from tests.stories import state_after, told

SOLD_AGAIN = LISTED.model_copy(update={"revision": 4})
LAST = {
    "listed again": [LISTED, DEARER, WITHDRAWN.model_copy(update={"revision": 3}), SOLD_AGAIN],
    "dearer": [LISTED, WITHDRAWN, SOLD_AGAIN, DEARER.model_copy(update={"revision": 5})],
    "withdrawn": [LISTED, DEARER, WITHDRAWN.model_copy(update={"revision": 3})],
}


@pytest.mark.parametrize("history", LAST.values(), ids=LAST)
def test_the_newest_revision_wins_in_every_order_of_arrival(
    history: list[ProductListed | PriceChanged | ProductWithdrawn],
) -> None:
    newest = history[-1]
    for arrival in permutations(history):
        price = state_after(PRICES, [*arrival, *arrival])
        assert price.revision == newest.revision
        assert price.money == getattr(newest, "price", None)


def test_the_price_book_says_nothing() -> None:
    assert told(PRICES, [LISTED, DEARER, WITHDRAWN]) == []


def test_the_price_book_has_no_rule_for_orders() -> None:
    with pytest.raises(OutOfTurn):
        told(PRICES, [PLACE])

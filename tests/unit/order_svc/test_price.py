"""Given-when-then tests of the price book: the newest revision counts, in whatever order events arrive."""

from itertools import permutations

import pytest

from chassis.core.decision import Context, OutOfTurn
from contracts.products import PriceChanged, ProductListed, ProductWithdrawn
from order_svc import price
from order_svc.price import Price
from tests.support.given_when_then import emitted, state_after
from tests.support.messages import DEARER, KETTLE_PRICE, LISTED, PLACE, WITHDRAWN
from tests.unit.order_svc.decision_tables import PRICES

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
        known = state_after(PRICES, [*arrival, *arrival])
        assert known.revision == newest.revision
        assert known.money == getattr(newest, "price", None)


def test_the_price_book_emits_nothing() -> None:
    assert emitted(PRICES, [LISTED, DEARER, WITHDRAWN]) == []


def test_the_price_book_has_no_rule_for_orders() -> None:
    with pytest.raises(OutOfTurn):
        emitted(PRICES, [PLACE])


def test_the_newest_listing_determines_the_title() -> None:
    renamed = LISTED.model_copy(update={"title": "Kettle, renamed", "revision": 3})
    dearer = DEARER.model_copy(update={"revision": 4})
    withdrawn = WITHDRAWN.model_copy(update={"revision": 5})
    for arrival in permutations([LISTED, renamed, dearer, withdrawn]):
        assert state_after(PRICES, [*arrival, *arrival]).title == "Kettle, renamed"


def test_a_price_book_without_titles_learns_them_from_older_listings() -> None:
    """As `journey backfill` adds them to an order_svc that did not store titles."""
    known = Price(revision=5, money=KETTLE_PRICE)
    learned = price.decide(known, LISTED, Context()).state
    assert (learned.revision, learned.money, learned.title) == (5, KETTLE_PRICE, LISTED.title)

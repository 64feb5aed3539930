"""Given-when-then tests of the catalogue's rules."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.decision import Context, OutOfTurn
from contracts import products
from contracts.values import Money
from product_svc.decider import Handles, decide
from product_svc.product import Product, ProductStatus
from product_svc.search import search_terms, search_words, similar_words
from product_svc.service import PRODUCTS

SKU = "KETTLE-BLUE"
CHEAP, DEAR = Money(amount_minor=2990, currency="EUR"), Money(amount_minor=3490, currency="EUR")
LIST = products.ListProduct(sku=SKU, title="Kettle, blue", category="kitchen", price=CHEAP)
RAISE = products.ChangePrice(sku=SKU, price=DEAR)
WITHDRAW = products.WithdrawProduct(sku=SKU)


def play(history: Iterable[Handles]) -> tuple[Product, list[Any]]:
    product = Product()
    emitted: list[Any] = []
    for message in history:
        decision = decide(product, message, Context())
        # the codec's round trip keeps the state
        product = PRODUCTS.codec.load(PRODUCTS.codec.dump(decision.state))
        assert product == decision.state
        emitted += decision.emits
    return product, emitted


def reported(*history: Handles) -> list[str]:
    return [
        f"{type(emitted).__name__} {getattr(emitted, 'revision', '')}".strip() for emitted in play(history)[1]
    ]


def test_listing_emits_the_price_and_first_revision() -> None:
    _, emitted = play([LIST])
    assert emitted == [
        products.ProductListed(sku=SKU, title="Kettle, blue", category="kitchen", price=CHEAP, revision=1)
    ]


def test_an_identical_listing_emits_nothing() -> None:
    assert reported(LIST, LIST) == ["ProductListed 1"]


@pytest.mark.parametrize(
    "change", [{"title": "Kettle"}, {"description": "1.7 l"}, {"category": "tea"}, {"price": DEAR}]
)
def test_listing_with_any_difference_is_a_new_revision(change: dict[str, Any]) -> None:
    assert reported(LIST, LIST.model_copy(update=change)) == ["ProductListed 1", "ProductListed 2"]


def test_another_price_emits_an_event() -> None:
    _, emitted = play([LIST, RAISE])
    assert emitted[-1] == products.PriceChanged(sku=SKU, price=DEAR, revision=2)


def test_the_same_price_is_no_change() -> None:
    assert reported(LIST, RAISE, RAISE) == ["ProductListed 1", "PriceChanged 2"]


def test_a_withdrawal_emits_one_event() -> None:
    assert reported(LIST, WITHDRAW, WITHDRAW) == ["ProductListed 1", "ProductWithdrawn 2"]


def test_a_withdrawn_article_may_be_listed_again_and_counts_on() -> None:
    product, _ = play([LIST, WITHDRAW, LIST])
    assert reported(LIST, WITHDRAW, LIST)[-1] == "ProductListed 3"
    assert product.status is ProductStatus.LISTED


@pytest.mark.parametrize(
    ("history", "why"),
    [
        ([RAISE], "it was never listed"),
        ([WITHDRAW], "it was never listed"),
        ([LIST, WITHDRAW, RAISE], "it is withdrawn; list it again, at the new price"),
    ],
)
def test_a_command_for_an_unsold_article_is_rejected(history: list[Handles], why: str) -> None:
    assert play(history)[1][-1] == products.ProductCommandRefused(sku=SKU, detail=why)


def test_a_rejected_command_changes_nothing() -> None:
    assert play([RAISE, WITHDRAW])[0] == Product()
    assert play([LIST, WITHDRAW, RAISE])[0] == play([LIST, WITHDRAW])[0]


def test_a_message_without_a_rule_is_out_of_turn() -> None:
    with pytest.raises(OutOfTurn):
        PRODUCTS.decide(Product(), products.ProductWithdrawn(sku=SKU, revision=1), Context())


prices = st.builds(Money, amount_minor=st.integers(0, 3), currency=st.sampled_from(["EUR", "USD"]))
commands = st.one_of(
    st.builds(
        products.ListProduct,
        sku=st.just(SKU),
        title=st.sampled_from(["Kettle", "Tea"]),
        category=st.just("kitchen"),
        price=prices,
    ),
    st.builds(products.ChangePrice, sku=st.just(SKU), price=prices),
    st.just(WITHDRAW),
)


@given(st.lists(commands, max_size=20))
def test_revisions_only_grow_and_each_change_has_its_own(history: list[Handles]) -> None:
    product, emitted = play(history)
    revisions = [event.revision for event in emitted if not isinstance(event, products.ProductCommandRefused)]
    assert revisions == list(range(1, product.revision + 1))


@given(st.lists(commands, max_size=20))
def test_events_alone_determine_availability_and_price(history: list[Handles]) -> None:
    product, emitted = play(history)
    price = None
    for event in emitted:
        if isinstance(event, products.ProductListed | products.PriceChanged):
            price = event.price
        elif isinstance(event, products.ProductWithdrawn):
            price = None
    assert price == (product.price if product.status is ProductStatus.LISTED else None)


def test_articles_are_found_by_word_prefixes() -> None:
    words = search_words("Grüne STRASSE, 100 g", "garden-tools")
    for query in ("gr", "GRÜNE", "straß", "10", "tools gard", "ｇａｒｄｅｎ"):
        assert set(search_terms(query)) <= set(words), query
    for query in ("rüne", "greens", "spade"):
        assert not set(search_terms(query)) <= set(words), query


def test_single_characters_and_signs_are_not_searched_for() -> None:
    assert search_terms("a $ {} _ - g") == []


@given(st.text(max_size=120), st.text(max_size=100))
def test_words_and_terms_are_bounded_whatever_the_text(title: str, query: str) -> None:
    words = search_words(title, "kitchen")
    assert len(words) <= 200
    assert all(1 <= len(word) <= 20 for word in words)
    assert not any(len(word) == 1 and word.isascii() for word in words)
    assert len(set(words)) == len(words)
    assert len(search_terms(query)) <= 10


def test_many_long_words_are_cut_short() -> None:
    assert len(search_words(" ".join(f"{number}abcdefghijklmnopqrstuvwxyz" for number in range(100)))) == 200


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Nd", "Zs"]), max_size=40))
def test_every_title_is_found_by_itself(title: str) -> None:
    assert set(search_terms(title)) <= set(search_words(title))


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("Crème brûlée dish", "creme brulee"),
        ("Creme brulee dish", "CRÈME BRÛLÉE"),
        ("Grüne Tasse", "grune"),
        ("Kettle", "TEA-GREEN"),
        ("Kettle", "tea-gr"),
        ("緑茶の急須", "緑茶"),
        ("緑茶の急須", "茶"),
        ("녹차 주전자", "주전"),
    ],
)
def test_a_search_normalises_queries_and_titles(title: str, query: str) -> None:
    assert search_terms(query) and set(search_terms(query)) <= set(search_words("TEA-GREEN", title))


@pytest.mark.parametrize("typo", ["ketle", "kettlle", "kettel", "keetle", "kettlr"])
def test_one_typing_error_is_corrected(typo: str) -> None:
    assert similar_words(typo) & set(search_words("Kettle")) <= {"kettl", "kettle"}
    assert similar_words(typo) & set(search_words("Kettle"))


@pytest.mark.parametrize("typo", ["te", "xettlx", "lamp"])
def test_two_errors_and_short_words_are_not_corrected(typo: str) -> None:
    assert not similar_words(typo) & set(search_words("Kettle tea"))


def test_relisting_renews_the_search_words() -> None:
    listed = decide(Product(), LIST, Context()).state
    old = replace(listed, words=("kettle",))
    again = decide(old, LIST, Context())
    assert (again.state, again.emits) == (listed, ())

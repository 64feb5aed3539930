"""Money is formatted and added up in one place."""

import re

import pytest

from contracts.values import AMOUNT_MAX, Money, format_money, order_total
from tests.support.source_files import PACKAGES, sources


def money(amount_minor: int, currency: str = "EUR") -> Money:
    return Money(amount_minor=amount_minor, currency=currency)


@pytest.mark.parametrize(
    ("amount", "shop", "staff", "plain"),
    [
        (money(129_900), "€1,299.00", "1,299.00 EUR", "1299.00 EUR"),
        (money(5, "USD"), "$0.05", "0.05 USD", "0.05 USD"),
        (money(129_900, "CHF"), "1,299.00 CHF", "1,299.00 CHF", "1299.00 CHF"),
        (money(1_299, "JPY"), "1,299 JPY", "1,299 JPY", "1299 JPY"),
    ],
)
def test_an_amount_has_its_currencys_decimals(amount: Money, shop: str, staff: str, plain: str) -> None:
    assert (format_money(amount), format_money(amount, symbols=False), str(amount)) == (shop, staff, plain)


def test_a_total_is_the_sum_of_prices_times_quantities() -> None:
    assert order_total([(money(2990), 2), (money(10), 3)]) == money(6010)


@pytest.mark.parametrize(
    "items", [[], [(money(1), 1), (money(1, "USD"), 1)], [(money(AMOUNT_MAX), 1), (money(1), 1)]]
)
def test_a_total_needs_items_one_currency_and_the_limit(
    items: list[tuple[Money, int]],
) -> None:
    with pytest.raises(ValueError, match=r"currency|less than or equal"):
        order_total(items)


def test_no_other_module_formats_or_adds_up_money() -> None:
    """bench/plain.py is the program without our framework that the benchmark compares with."""
    own = re.compile(r"amount_minor\W*\s*/\s*10|sum\([^()]*amount_minor\s*\*|10\s*\*\*\s*decimals")
    found = [str(source.path) for source in sources(*PACKAGES) if own.search(source.text)]
    assert found == ["contracts/values.py"]

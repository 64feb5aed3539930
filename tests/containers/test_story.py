"""The browser tests of a customer's whole story, against the shop in containers."""

import pytest

from tests.browser.test_whole_story import (
    test_a_new_customer_registers_orders_and_cancels,
    test_an_article_is_found_and_paid_by_keyboard_alone,
    test_without_javascript_the_shop_works_from_registration_to_log_out,
)

pytestmark = [pytest.mark.timeout(1800), pytest.mark.asyncio(loop_scope="package")]

__all__ = [
    "test_a_new_customer_registers_orders_and_cancels",
    "test_an_article_is_found_and_paid_by_keyboard_alone",
    "test_without_javascript_the_shop_works_from_registration_to_log_out",
]

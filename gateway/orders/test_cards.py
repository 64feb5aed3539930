"""The test cards of the shop. The shop handles card tokens only, never card numbers."""

from typing import NamedTuple


class PaymentCard(NamedTuple):
    """`description`: how payments with the card behave, as a sentence for customers."""

    token: str
    name: str
    description: str


TEST_CARDS = (
    PaymentCard("tok_visa", "Test card that succeeds", "The payment is authorised immediately."),
    PaymentCard(
        "tok_declined", "Test card that is declined", "The bank declines it, and the order is cancelled."
    ),
    PaymentCard(
        "tok_no_funds", "Test card without funds", "The funds are insufficient, and the order is cancelled."
    ),
    PaymentCard("tok_slow", "Test card with a slow provider", "The payment is authorised after a while."),
    PaymentCard(
        "tok_down",
        "Test card with an unavailable provider",
        "The provider does not respond: the order waits, and is then cancelled automatically.",
    ),
)

"""The test cards of the shop. Their tokens stand for cards; a card's number never comes near this shop."""

from typing import NamedTuple


class PaymentCard(NamedTuple):
    """`what`: how it behaves, in a sentence for customers."""

    token: str
    name: str
    description: str


TEST_CARDS = (
    PaymentCard("tok_visa", "Test card that pays", "The payment is authorised at once."),
    PaymentCard("tok_declined", "Test card that is refused", "The bank says no, and the order is cancelled."),
    PaymentCard("tok_no_funds", "Test card without funds", "There is not enough on it, and the order is cancelled."),
    PaymentCard("tok_slow", "Test card that is slow", "The provider takes a while, and then pays."),
    PaymentCard(
        "tok_down", "Test card that nobody answers for", "The provider is silent: the order waits, then ends by itself."
    ),
)

"""The key of a customer's addresses: created once, erased for ever."""

from itertools import permutations
from typing import Any

from chassis.core.decision import Context
from contracts.users import UserErased
from gateway.delivery.address_key import AddressKey, AddressKeyStatus, CreateKey, decide
from tests.support.messages import CUSTOMER

ERASED = UserErased(user_id=CUSTOMER)


def after(*messages: Any) -> AddressKey:
    key = AddressKey()
    for message in messages:
        key = decide(key, message, Context()).state
    return key


def test_the_first_key_stays() -> None:
    assert after(CreateKey("one"), CreateKey("two")) == AddressKey(AddressKeyStatus.ACTIVE, "one")


def test_an_erased_key_never_comes_back() -> None:
    for messages in permutations([CreateKey("one"), CreateKey("two"), ERASED]):
        erased = after(*messages, CreateKey("three"))
        assert erased == AddressKey(AddressKeyStatus.ERASED), messages


def test_the_key_is_in_no_text_of_its_objects() -> None:
    assert "secret" not in f"{CreateKey('secret')!r} {after(CreateKey('secret'))!r}"

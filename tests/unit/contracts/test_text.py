"""Names, titles and reasons are visible, and look like what they are."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.http import users
from contracts.products import ListProduct
from contracts.text import one_line, several_lines
from tests.support.messages import KETTLE_PRICE

INVISIBLE = [
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u00ad",
    "\u2060",
    "\u3164",
    "\u115f",
    "\u2800",
    "\u3000",
    "\u00a0",
    "\u034f",
    "\ufe0f",
]
TURNING = ["safe\u202egnp.exe", "\u2066a\u2069", "a\u200fb", "\u061ca"]
CONTROLS = ["a\x00b", "a\x1b[2J", "a\x7f", "a\u2028b", "a\u0085b"]
GOOD = ["Ada", "Łukasz Żak", "张伟", "محمد", "שרה", "O'Neill", "नी", "👩\u200d🔬", "می\u200cخواهم", "100"]
_ADDRESS = {"label": "home", "recipient": "A", "street": "S", "postcode": "P", "city": "C", "country": "GB"}
_PRODUCT = {"sku": "KETTLE-BLUE", "title": "T", "category": "kitchen", "price": KETTLE_PRICE}


@pytest.mark.parametrize("text", [*INVISIBLE, "".join(INVISIBLE), *TURNING, *CONTROLS])
def test_invisible_and_bidi_characters_are_rejected_everywhere(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        one_line(text)
    with pytest.raises(ValidationError):
        users.Profile(name=text)
    with pytest.raises(ValidationError):
        ListProduct.model_validate(_PRODUCT | {"title": text})
    for field in ("label", "recipient", "street", "postcode", "city"):
        with pytest.raises(ValidationError):
            users.PostalAddress.model_validate(_ADDRESS | {field: text})


@pytest.mark.parametrize("text", ["\u200b", *TURNING, "a\x1b[2J"])
def test_a_description_may_have_lines_but_nothing_that_deceives(text: str) -> None:
    assert ListProduct.model_validate(_PRODUCT | {"description": "one\ntwo"}).description == "one\ntwo"
    assert several_lines("") == ""
    with pytest.raises(ValidationError):
        ListProduct.model_validate(_PRODUCT | {"description": text})


@pytest.mark.parametrize("text", GOOD)
def test_names_of_every_script_are_kept(text: str) -> None:
    assert users.Profile(name=f"\u00a0{text} ").name == one_line(text) == unicodedata.normalize("NFC", text)


def test_equivalent_unicode_texts_become_equal() -> None:
    assert one_line("Zoe\u0308") == one_line("Zo\u00eb") == "Zo\u00eb"


@given(st.text())
def test_a_text_that_is_accepted_is_accepted_again_unchanged(text: str) -> None:
    try:
        accepted = one_line(text)
    except ValueError:
        return
    assert one_line(accepted) == accepted and accepted.strip() == accepted != ""

"""The delivery address on the checkout page: one of the account's addresses, or one that is typed there.

A choice carries the address itself, as it was shown. So the order goes where the customer saw that it goes,
also if the account has changed since, or user_svc is unavailable.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from chassis.web.problems import error_message
from contracts.http.users import DeliveryAddress, SavedAddress
from gateway.web.form import SubmittedForm, sentence

CHOICE = "deliver_to"
OTHER = "other"
_TEXTS = {
    "recipient": "Type the recipient",
    "street": "Type the street and the number",
    "postcode": "Type the postcode",
    "city": "Type the town or city",
    "country": "Type the country's two letters",
}
FIELDS = (CHOICE, *_TEXTS)


@dataclass(frozen=True)
class AddressChoice:
    """A radio button. `value`: the address as JSON."""

    value: str
    address: SavedAddress


def choices(addresses: Sequence[SavedAddress]) -> tuple[AddressChoice, ...]:
    return tuple(AddressChoice(_value(address), address) for address in addresses)


def _value(address: SavedAddress) -> str:
    return json.dumps({name: getattr(address, name) for name in _TEXTS}, ensure_ascii=False)


def read_address(form: SubmittedForm) -> DeliveryAddress | None:
    """The chosen or typed address. None, with errors in the form, if it is not valid."""
    if form[CHOICE] not in ("", OTHER):
        return _chosen(form)
    form.require(**_TEXTS)
    if any(name in form.errors for name in _TEXTS):
        return None
    typed = {name: form[name] for name in _TEXTS} | {"country": form["country"].upper()}
    try:
        return DeliveryAddress.model_validate(typed)
    except ValidationError as error:
        form.errors |= {str(each["loc"][0]): sentence(error_message(each)) for each in error.errors()}
        return None


def _chosen(form: SubmittedForm) -> DeliveryAddress | None:
    try:
        return DeliveryAddress.model_validate_json(form[CHOICE])
    except ValidationError:
        form.errors[CHOICE] = "Choose the delivery address again"
        return None

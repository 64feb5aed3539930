"""A submitted form and its errors: each wrong field has a hint, and the input is kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fastapi import Request
from pydantic import ValidationError

_HINTS = {
    "sku": "Use capital letters, digits and dashes, e.g. KETTLE-BLUE; 32 characters at most.",
    "change": "Enter a whole number other than 0, from -10,000,000 to 10,000,000.",
    "reference": "Enter the number of the transfer or receipt: 3 to 64 letters, digits and . / : - _",
    "reason": "Choose one of the reasons.",
    "quantity": "Enter a whole number from 1 to 10,000,000.",
    "category": "Use lower-case letters, digits and dashes, e.g. kitchen; 40 characters at most.",
    "title": "Use 1 to 120 characters, at least one of them visible, and none that changes the writing "
    "direction.",
    "description": "Use at most 4,000 characters, and none that changes the writing direction.",
    "price": "Enter an amount such as 29.90 and a currency such as EUR.",
    "user_id": "Enter the whole id of the user, e.g. 0198….",
    "role": "Choose one of the roles.",
}


@dataclass
class StaffForm:
    """`given`: the input, stripped. `errors`: field -> the message that says what to enter instead."""

    given: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.given.get(name, "")

    def with_value(self, name: str, value: str) -> "StaffForm":
        return StaffForm({**self.given, name: value}, self.errors)

    @property
    def is_wrong(self) -> bool:
        return bool(self.errors)

    def refuse(self, error: ValidationError) -> None:
        """Add an error for each field that the message rejects."""
        for name in _fields_of(error):
            self.errors.setdefault(name, _HINTS.get(name, "This value is not valid; enter another one."))

    def whole_number(self, name: str) -> int | None:
        """None, with an error, if it is not a whole number."""
        text = self[name].replace(",", "").replace(" ", "")
        if text.isascii() and text.isdigit() and len(text) <= 12:
            return int(text)
        self.errors[name] = _HINTS.get(name, "Enter a whole number.")
        return None

    def signed_number(self, name: str) -> int | None:
        """None, with an error, if it is not a whole number with or without a sign."""
        text = self[name].replace("\N{MINUS SIGN}", "-")
        sign = -1 if text.startswith("-") else 1
        number = StaffForm({name: text[1:] if text[:1] in ("-", "+") else text}).whole_number(name)
        if number is None:
            self.errors[name] = _HINTS.get(name, "Enter a whole number.")
            return None
        return sign * number


async def read_form(request: Request) -> StaffForm:
    """Files are ignored, and the last value of a repeated field counts."""
    sent = await request.form()
    return StaffForm({name: value.strip() for name, value in sent.items() if isinstance(value, str)})


def _fields_of(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False):
        yield str(each["loc"][0]) if each["loc"] else "form"

"""A submitted form and its errors: each wrong field has a hint, and the input is kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fastapi import Request
from pydantic import ValidationError

_HINTS = {
    "sku": "Write capital letters, digits and dashes, e.g. KETTLE-BLUE; 32 characters at most.",
    "quantity": "Write a whole number from 1 to 10,000,000.",
    "category": "Write small letters, digits and dashes, e.g. kitchen; 40 characters at most.",
    "title": "Write 1 to 120 characters, at least one that can be seen, and none that turns the writing round.",
    "description": "Write at most 4,000 characters, and none that turns the writing round.",
    "price": "Write an amount as 29.90 and a currency as EUR.",
    "user_id": "Write the whole id of the user, as 0198….",
    "role": "Choose one of the roles.",
}


@dataclass
class StaffForm:
    """`given`: as it was typed, without blanks around. `errors`: field -> what to write instead."""

    given: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.given.get(name, "")

    @property
    def is_wrong(self) -> bool:
        return bool(self.errors)

    def refuse(self, error: ValidationError) -> None:
        """Name the fields that a message cannot carry so."""
        for name in _fields_of(error):
            self.errors.setdefault(name, _HINTS.get(name, "This cannot be; write it anew."))

    def whole_number(self, name: str) -> int | None:
        """None, and an error, if it is none."""
        text = self[name].replace(",", "").replace(" ", "")
        if text.isascii() and text.isdigit() and len(text) <= 12:
            return int(text)
        self.errors[name] = _HINTS.get(name, "Write a whole number.")
        return None


async def read_form(request: Request) -> StaffForm:
    """Files are none of ours, and of a field that is given twice the last one counts."""
    sent = await request.form()
    return StaffForm({name: value.strip() for name, value in sent.items() if isinstance(value, str)})


def _fields_of(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False):
        yield str(each["loc"][0]) if each["loc"] else "form"

"""What people send and get over HTTP. Only strings reach the store, and unknown fields are named in the refusal."""

import unicodedata
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.values import NOBODY
from user_svc.claim import EMAIL_LENGTH_MAX, normalised
from user_svc.user import Address

_NEVER_IN_A_LINE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's controls, halves of characters, and line separators


def _one_line(text: str) -> str:
    """Names go into mails: a line break there would be a header of the sender's choice."""
    if any(unicodedata.category(letter) in _NEVER_IN_A_LINE for letter in text):
        raise ValueError("must be one line, without control characters")
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


def _somebody(user_id: UUID) -> UUID:
    if user_id == NOBODY:
        raise ValueError("the nil UUID is nobody's id")
    return user_id


def _label(text: str) -> str:
    if "/" in text or not text.strip("."):
        raise ValueError("must not contain a slash, nor be dots only: it is part of a path")
    return text


Email = Annotated[str, Field(strict=True, max_length=EMAIL_LENGTH_MAX), AfterValidator(normalised)]
Password = Annotated[str, Field(strict=True, min_length=8, max_length=128)]
Line = Annotated[str, Field(strict=True, max_length=100), AfterValidator(_one_line)]
Label = Annotated[str, Field(strict=True, max_length=40), AfterValidator(_one_line), AfterValidator(_label)]


class Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Registration(Form):
    """`user_id` may be chosen by the client, so that sending twice is one account."""

    email: Email
    name: Line
    password: Password = Field(repr=False)
    user_id: Annotated[UUID, AfterValidator(_somebody)] | None = None


class Registered(BaseModel):
    user_id: UUID


class Credentials(Form):
    email: Email
    password: Annotated[str, Field(strict=True, max_length=128, repr=False)]


class SessionOpened(BaseModel):
    token: str
    expires_at: datetime
    user_id: UUID


class Profile(Form):
    name: Line


class PostalAddress(Form):
    label: Label
    recipient: Line
    street: Line
    postcode: Annotated[str, Field(strict=True, max_length=20), AfterValidator(_one_line)]
    city: Line
    country: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$", description="ISO 3166-1, two letters")]


class Me(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    email: str
    name: str
    addresses: tuple[Address, ...]
    created_at: datetime | None


class Contact(BaseModel):
    """To whom a mail goes."""

    name: str
    email: str

"""Request bodies. Only strings reach the store, and the error response names unknown fields."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.text import one_line
from contracts.values import Id
from user_svc.accounts.email_address import EMAIL_LENGTH_MAX, new_email, normalise_email

PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 8, 128
TOKEN_LENGTH_MAX = 1_024


def _label(text: str) -> str:
    if "/" in text or not text.strip(". "):
        raise ValueError("must not contain a slash or consist of dots only, because it is part of a path")
    return text


_EmailText = Annotated[
    str,
    Field(
        strict=True,
        max_length=EMAIL_LENGTH_MAX,
        examples=["ada@example.org"],
        json_schema_extra={"format": "email"},
    ),
]
Email = Annotated[_EmailText, AfterValidator(normalise_email)]
NewEmail = Annotated[_EmailText, AfterValidator(new_email)]
CurrentPassword = Annotated[str, Field(strict=True, max_length=PASSWORD_LENGTH_MAX, repr=False)]
NewPassword = Annotated[
    str,
    Field(
        strict=True,
        min_length=PASSWORD_LENGTH_MIN,
        max_length=PASSWORD_LENGTH_MAX,
        repr=False,
        description="any characters; common passwords are rejected",
        examples=["correct horse battery"],
    ),
]
Token = Annotated[str, Field(strict=True, min_length=1, max_length=TOKEN_LENGTH_MAX, repr=False)]
# Names go into mails: a line break would let the sender inject a header.
ShortText = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=100),
    AfterValidator(one_line),
]
Postcode = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=20),
    AfterValidator(one_line),
]
Label = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=40),
    AfterValidator(one_line),
    AfterValidator(_label),
]


class RequestBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RegistrationBody(RequestBody):
    """The client may choose `user_id`, so that a repeated request creates only one account."""

    email: NewEmail
    name: ShortText = Field(examples=["Ada Lovelace"])
    password: NewPassword
    user_id: Id | None = None


class EmailBody(RequestBody):
    """An e-mail address. A mail is sent if it belongs to an account."""

    email: Email


class LoginBody(RequestBody):
    email: Email
    password: CurrentPassword


class AddressProofBody(RequestBody):
    """The token from the link in the mail, and the password of the registration."""

    token: Token
    password: CurrentPassword


class PasswordResetBody(RequestBody):
    """The token from the link in the mail, and the new password."""

    token: Token
    password: NewPassword


class RefreshBody(RequestBody):
    refresh_token: Token


class PasswordChangeBody(RequestBody):
    current: CurrentPassword
    new: NewPassword


class ErasureBody(RequestBody):
    password: CurrentPassword


class ProfileBody(RequestBody):
    name: ShortText = Field(examples=["Ada Lovelace"])


class PostalAddressBody(RequestBody):
    label: Label = Field(examples=["home"])
    recipient: ShortText = Field(examples=["Ada Lovelace"])
    street: ShortText = Field(examples=["12 St James's Square"])
    postcode: Postcode = Field(examples=["SW1Y 4JH"])
    city: ShortText = Field(examples=["London"])
    country: Annotated[
        str, Field(strict=True, pattern=r"^[A-Z]{2}$", description="ISO 3166-1, two letters")
    ] = Field(examples=["GB"])

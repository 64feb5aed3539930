"""What people send over HTTP. Only strings reach the store, and unknown fields are named in the refusal."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from contracts.text import one_line
from contracts.values import Id
from user_svc.claim import EMAIL_LENGTH_MAX, normalised
from user_svc.common_passwords import TooCommon, is_common

PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 8, 128
TOKEN_LENGTH_MAX = 1_024


def _label(text: str) -> str:
    if "/" in text or not text.strip(". "):
        raise ValueError("must not contain a slash, nor be dots only: it is part of a path")
    return text


Email = Annotated[
    str,
    Field(
        strict=True, max_length=EMAIL_LENGTH_MAX, examples=["ada@example.org"], json_schema_extra={"format": "email"}
    ),
    AfterValidator(normalised),
]
GivenPassword = Annotated[str, Field(strict=True, max_length=PASSWORD_LENGTH_MAX, repr=False)]
NewPassword = Annotated[
    str,
    Field(
        strict=True,
        min_length=PASSWORD_LENGTH_MIN,
        max_length=PASSWORD_LENGTH_MAX,
        repr=False,
        description="any characters; not one of those that everybody tries first",
        examples=["correct horse battery"],
    ),
]
Token = Annotated[str, Field(strict=True, min_length=1, max_length=TOKEN_LENGTH_MAX, repr=False)]
# Names go into mails: a line break there would be a header of the sender's choice.
Line = Annotated[
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


class Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Registration(Form):
    """`user_id` may be chosen by the client, so that sending twice is one account."""

    email: Email
    name: Line = Field(examples=["Ada Lovelace"])
    password: NewPassword
    user_id: Id | None = None

    @field_validator("password")
    @classmethod
    def _is_uncommon(cls, password: str, info: ValidationInfo) -> str:
        if is_common(password, info.data.get("email", "")):
            raise ValueError(TooCommon.REMEDY)
        return password


class Address(Form):
    """An e-mail address, to which a mail goes if it is somebody's."""

    email: Email


class Credentials(Form):
    email: Email
    password: GivenPassword


class Proof(Form):
    """The token of the link in the mail, and the password that was registered with."""

    token: Token
    password: GivenPassword


class Reset(Form):
    """The token of the link in the mail, and the new password."""

    token: Token
    password: NewPassword


class Refreshing(Form):
    refresh_token: Token


class PasswordChange(Form):
    current: GivenPassword
    new: NewPassword


class Erasure(Form):
    password: GivenPassword


class Profile(Form):
    name: Line = Field(examples=["Ada Lovelace"])


class PostalAddress(Form):
    label: Label = Field(examples=["home"])
    recipient: Line = Field(examples=["Ada Lovelace"])
    street: Line = Field(examples=["12 St James's Square"])
    postcode: Postcode = Field(examples=["SW1Y 4JH"])
    city: Line = Field(examples=["London"])
    country: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$", description="ISO 3166-1, two letters")] = Field(
        examples=["GB"]
    )

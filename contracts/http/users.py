"""HTTP models of user_svc. The gateway has the same ones in its accounts API.

Request models check the shape. user_svc adds rules that need more than the field: the normal form of an
e-mail address, and passwords that are easy to guess. Unknown fields are rejected, so a client cannot set a
role.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.notifications import MailKind
from contracts.roles import Role
from contracts.text import one_line

EMAIL_LENGTH_MAX = 254
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 128
LINK_TOKEN_LENGTH_MAX = 700  # a line of a mail holds at most 998 characters, and the link has no break


def _label(text: str) -> str:
    if "/" in text or not text.strip(". "):
        raise ValueError("must not contain a slash or consist of dots only, because it is part of a path")
    return text


EmailText = Annotated[
    str,
    Field(
        strict=True,
        max_length=EMAIL_LENGTH_MAX,
        examples=["ada@example.org"],
        json_schema_extra={"format": "email"},
    ),
]
Password = Annotated[
    str,
    Field(strict=True, max_length=PASSWORD_LENGTH_MAX, repr=False, examples=["correct horse battery staple"]),
]
NewPassword = Annotated[
    Password,
    Field(
        min_length=PASSWORD_LENGTH_MIN,
        description=f"at least {PASSWORD_LENGTH_MIN} characters, any of them; not one that is easy to guess",
    ),
]
MailedToken = Annotated[
    str, Field(strict=True, min_length=1, max_length=1_024, repr=False, examples=["eyJhbGciOi…"])
]
RefreshToken = Annotated[str, Field(strict=True, min_length=1, max_length=1_024, repr=False)]
# Names go into mails: a line break would let the sender inject a header.
ShortText = Annotated[str, Field(strict=True, min_length=1, max_length=100), AfterValidator(one_line)]
Postcode = Annotated[
    str, Field(strict=True, min_length=1, max_length=20, examples=["SW1Y 4JH"]), AfterValidator(one_line)
]
Label = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=40, examples=["home"]),
    AfterValidator(one_line),
    AfterValidator(_label),
]
Country = Annotated[
    str,
    Field(strict=True, pattern=r"^[A-Z]{2}$", description="ISO 3166-1, two letters", examples=["GB"]),
]


class AccountRequest(BaseModel):
    """A request body about accounts. Errors do not repeat its values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Registration(AccountRequest):
    email: EmailText
    name: ShortText = Field(examples=["Ada Lovelace"])
    password: NewPassword


class EmailAddressOnly(AccountRequest):
    """An e-mail address. A mail is sent if it belongs to an account."""

    email: EmailText


class CustomerLookup(AccountRequest):
    """The e-mail address of a customer, as staff enter it."""

    email: EmailText


class FoundCustomer(BaseModel):
    """`user_id`: the account with exactly this address; null if there is none."""

    user_id: UUID | None


class Proof(AccountRequest):
    """`token`: from the link in the mail. `password`: the one of the registration."""

    token: MailedToken
    password: Password


class Credentials(AccountRequest):
    email: EmailText
    password: Password


class Refresh(AccountRequest):
    refresh_token: RefreshToken


class PasswordResetConfirmation(AccountRequest):
    """The token from the link in the mail, and the new password."""

    token: MailedToken
    password: NewPassword


class PasswordChange(AccountRequest):
    current: Password
    new: NewPassword


class EmailChangeRequest(AccountRequest):
    """`email`: the new address. `password`: the account's."""

    email: EmailText
    password: Password


class Profile(AccountRequest):
    name: ShortText = Field(examples=["Ada Lovelace"])


class DeliveryAddress(AccountRequest):
    """Where to deliver an order."""

    recipient: ShortText = Field(examples=["Ada Lovelace"])
    street: ShortText = Field(examples=["12 St James's Square"])
    postcode: Postcode
    city: ShortText = Field(examples=["London"])
    country: Country


class PostalAddress(DeliveryAddress):
    """An address to add to an account. `label`: its name there, of which each account has one address."""

    label: Label


class Erasure(AccountRequest):
    password: Password


class Registered(BaseModel):
    """The same response whether or not the e-mail address already has an account:
    only an e-mail tells its owner.
    """

    user_id: UUID


class Tokens(BaseModel):
    """RFC 6749, section 5.1, with the user's id and roles.

    The access token is valid for ten minutes. The refresh token gets the next pair, once.
    """

    model_config = ConfigDict(from_attributes=True)

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="seconds", examples=[600])
    refresh_token: str = Field(repr=False)
    refresh_expires_at: datetime
    user_id: UUID
    roles: tuple[Role, ...]
    access_version: int = Field(
        0, description="of the access token: it increases when the password or the roles change"
    )


class OwnSession(BaseModel):
    """An open session of a user: a login by password, with all tokens that follow from it."""

    model_config = ConfigDict(from_attributes=True)

    session_id: UUID
    client: str = Field(
        "", description="the kind of program that logged in; empty if unknown", examples=["Firefox on Linux"]
    )
    began_at: datetime
    refreshed_at: datetime = Field(description="its last use, less ten minutes at most")
    expires_at: datetime = Field(description="when it ends unless it is used before")
    current: bool = Field(False, description="whether this request belongs to it")


class SessionPage(BaseModel):
    """Newest first. `next`: the value of `after` for the next page; null on the last page."""

    items: list[OwnSession]
    next: UUID | None


class AddressView(BaseModel):
    """An address as it is shown. Its text was checked when it was given. Never log it."""

    model_config = ConfigDict(from_attributes=True, hide_input_in_errors=True)

    recipient: str
    street: str
    postcode: str
    city: str
    country: str


class SavedAddress(AddressView):
    """An address of an account. The first one is suggested for deliveries."""

    label: str


class Me(BaseModel):
    """An account as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    email: str
    new_email: str | None = Field(None, description="a requested new address that is not confirmed yet")
    name: str
    roles: tuple[Role, ...] = ()
    addresses: tuple[SavedAddress, ...] = ()
    created_at: datetime | None = None


class Recipient(BaseModel):
    """The recipient of a mail. Never log or store it.

    `link_token`: for the kinds of mail that need one. `superseded_by`: the mail is out of date and must not
    be sent; the kind of the newer mail. `address_changed`: the mail is the notice to a former address.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    email: str
    link_token: str | None = Field(None, max_length=LINK_TOKEN_LENGTH_MAX, repr=False)
    superseded_by: MailKind | None = None
    address_changed: bool = False

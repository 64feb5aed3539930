"""Request and response models of the accounts API. They check the shape; user_svc checks the rules.

Unknown fields are rejected, so a client cannot set a role or an id.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.roles import Role

PASSWORD_MIN = 8
Email = Annotated[
    str,
    Field(strict=True, max_length=254, examples=["ada@example.org"], json_schema_extra={"format": "email"}),
]
Password = Annotated[
    str, Field(strict=True, max_length=128, repr=False, examples=["correct horse battery staple"])
]
NewPassword = Annotated[
    Password,
    Field(min_length=PASSWORD_MIN, description=f"at least {PASSWORD_MIN} characters, and not a common one"),
]
MailedToken = Annotated[
    str, Field(strict=True, min_length=1, max_length=1024, repr=False, examples=["eyJhbGciOi…"])
]
ShortText = Annotated[str, Field(strict=True, min_length=1, max_length=100)]


class AccountRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Registration(AccountRequest):
    email: Email
    name: ShortText = Field(examples=["Ada"])
    password: NewPassword


class Registered(BaseModel):
    """The same response whether or not the e-mail address already has an account:
    only an e-mail tells its owner.
    """

    user_id: UUID


class EmailAddressOnly(AccountRequest):
    email: Email


class Proof(AccountRequest):
    """`token`: from the link in the e-mail. `password`: the one chosen at registration."""

    token: MailedToken
    password: Password


class Credentials(AccountRequest):
    email: Email
    password: Password


class Refresh(AccountRequest):
    refresh_token: Annotated[str, Field(strict=True, min_length=1, max_length=256, repr=False)]


class PasswordResetConfirmation(AccountRequest):
    token: MailedToken
    password: NewPassword


class PasswordChange(AccountRequest):
    current: Password
    new: NewPassword


class Profile(AccountRequest):
    name: ShortText = Field(examples=["Ada"])


class PostalAddress(AccountRequest):
    label: Annotated[str, Field(strict=True, min_length=1, max_length=40, examples=["home"])]
    recipient: ShortText = Field(examples=["Ada Lovelace"])
    street: ShortText = Field(examples=["12 St James's Square"])
    postcode: Annotated[str, Field(strict=True, min_length=1, max_length=20, examples=["SW1Y 4JH"])]
    city: ShortText = Field(examples=["London"])
    country: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$", examples=["GB"])]


class Erasure(AccountRequest):
    password: Password


class Me(BaseModel):
    """An account as its owner sees it."""

    user_id: UUID
    email: str
    name: str
    roles: tuple[Role, ...] = ()
    addresses: tuple[PostalAddress, ...] = ()
    created_at: datetime | None = None

"""Response bodies for users and for other services."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from contracts.http.access import USER_HEADER, VERSION_HEADER
from contracts.notifications import MailKind
from contracts.roles import Role
from user_svc.accounts.user import Address, User


class RegistrationView(BaseModel):
    user_id: UUID


class TokenResponse(BaseModel):
    """RFC 6749, section 5.1, with the user's id and roles. The refresh token can be used once."""

    model_config = ConfigDict(from_attributes=True)

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="seconds", examples=[600])
    refresh_token: str
    refresh_expires_at: datetime
    user_id: UUID
    roles: tuple[Role, ...]
    access_version: int = Field(
        description="of the access token; tokens of this user with a lower one are invalid"
    )


class AccountView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    email: str
    name: str
    roles: tuple[Role, ...]
    addresses: tuple[Address, ...]
    created_at: datetime | None


class JsonWebKey(BaseModel):
    """RFC 7517 and RFC 8037."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str


class JsonWebKeySet(BaseModel):
    keys: list[JsonWebKey]


class ContactView(BaseModel):
    """The recipient of a mail. `link_token`: the token of the mail's link, if it has one. Do not store it.

    `superseded_by`: the mail is out of date and must not be sent; see User.superseding.
    """

    name: str
    email: str
    link_token: str | None = Field(None, repr=False)
    superseded_by: MailKind | None = None


def set_version_headers(response: Response, user: User) -> None:
    """The gateway then rejects the user's older access tokens before the event arrives."""
    response.headers[USER_HEADER] = str(user.user_id)
    response.headers[VERSION_HEADER] = str(user.access_version)

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
    """RFC 6749, section 5.1, and whose they are. The refresh token is good once, for the next tokens."""

    model_config = ConfigDict(from_attributes=True)

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="seconds", examples=[600])
    refresh_token: str
    refresh_expires_at: datetime
    user_id: UUID
    roles: tuple[Role, ...]
    access_version: int = Field(description="of the access token; lower ones of this user do not count any more")


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
    """To whom a mail goes. `link_token`: for the link in a mail that has one. Keep it nowhere.

    `superseded_by`: the mail tells an old story, so it is not to be sent; see User.superseding.
    """

    name: str
    email: str
    link_token: str | None = Field(None, repr=False)
    superseded_by: MailKind | None = None


def set_version_headers(response: Response, user: User) -> None:
    """So that the gateway refuses the user's older access tokens before the event arrives."""
    response.headers[USER_HEADER] = str(user.user_id)
    response.headers[VERSION_HEADER] = str(user.access_version)

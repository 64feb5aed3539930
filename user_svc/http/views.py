"""The key set, and the headers of a response that changes who may do what."""

from typing import Literal, Protocol
from uuid import UUID

from pydantic import BaseModel
from starlette.responses import Response

from contracts.http.access import USER_HEADER, VERSION_HEADER


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


class HasAccessVersion(Protocol):
    """A user, or the tokens of one."""

    @property
    def user_id(self) -> UUID: ...

    @property
    def access_version(self) -> int: ...


def set_version_headers(response: Response, user: HasAccessVersion) -> None:
    """The gateway then rejects the user's older access tokens before the event arrives."""
    response.headers[USER_HEADER] = str(user.user_id)
    response.headers[VERSION_HEADER] = str(user.access_version)

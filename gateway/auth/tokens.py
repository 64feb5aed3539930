"""The tokens of a log-in, as user_svc returns them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.roles import Role


class Tokens(BaseModel):
    """A log-in. The access token is valid for ten minutes. The refresh token gets the next pair, once."""

    access_token: str = Field(repr=False)
    token_type: str = "Bearer"
    expires_in: int
    refresh_token: str = Field(repr=False)
    refresh_expires_at: datetime
    user_id: UUID
    roles: tuple[Role, ...]
    access_version: int = Field(
        0, description="version of the access token: it increases when the password or the roles change"
    )

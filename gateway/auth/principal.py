"""The authenticated user of a request."""

from dataclasses import dataclass, field
from uuid import UUID

from contracts.roles import Role


@dataclass(frozen=True)
class Principal:
    """`access_token`: None while user_svc is unavailable and the session is trusted without it.

    `session_key`: the session's key in the database; empty for an API client with an access token.
    """

    user_id: UUID
    roles: tuple[Role, ...]
    access_token: str | None = field(repr=False)
    session_key: str = ""

    @property
    def is_staff(self) -> bool:
        return Role.STAFF in self.roles

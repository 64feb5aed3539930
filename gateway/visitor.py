"""Somebody who has logged in, as every route sees them."""

from dataclasses import dataclass, field
from uuid import UUID

from contracts.roles import Role


@dataclass(frozen=True)
class Visitor:
    """`access_token`: None while user_svc is away and the session is taken on trust.

    `session_key`: the session's name in the database; empty for a program with a token of its own.
    """

    user_id: UUID
    roles: tuple[Role, ...]
    access_token: str | None = field(repr=False)
    session_key: str = ""

    @property
    def is_staff(self) -> bool:
        return Role.STAFF in self.roles

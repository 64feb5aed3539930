"""The users of MongoDB: one per service, which reaches its own databases only, and one for the operators.

They follow from the list of service definitions. `make documents` writes them to users.json, for programs
that contain no code of the services. All users are in the database `admin`, so that a URL needs no
`authSource` (manual: "Authentication Database").
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chassis.core.definition import ServiceDefinition
from chassis.messaging.envelope import OPERATOR

FILE = Path(__file__).with_name("users.json")
Role = Literal["read", "readWrite"]


@dataclass(frozen=True)
class DatabaseUser:
    """`roles`: pairs of a built-in role and a database (manual: "Built-In Roles")."""

    name: str
    roles: frozenset[tuple[Role, str]]


def database_users(services: Iterable[ServiceDefinition], prefix: str = "") -> list[DatabaseUser]:
    """The users of a system. `prefix`: of the names of its databases and users, if it shares a server."""
    definitions = list(services)
    users = [
        DatabaseUser(
            f"{prefix}{service.name}",
            frozenset(("readWrite", f"{prefix}{database}") for database in service.databases),
        )
        for service in definitions
    ]
    every: frozenset[tuple[Role, str]] = frozenset(
        ("read", f"{prefix}{database}") for service in definitions for database in service.databases
    )
    return [*users, DatabaseUser(f"{prefix}{OPERATOR}", every)]


def text_of(users: Iterable[DatabaseUser]) -> str:
    """The content of the file."""
    return json.dumps({user.name: sorted(user.roles) for user in users}, indent=1) + "\n"


def stored_users(file: Path = FILE) -> list[DatabaseUser]:
    content: dict[str, list[tuple[Role, str]]] = json.loads(file.read_text())
    return [
        DatabaseUser(name, frozenset((role, database) for role, database in roles))
        for name, roles in content.items()
    ]


def derived_passwords(users: Iterable[DatabaseUser], secret: str) -> dict[str, str]:
    """For databases of developers and tests: passwords derived from a secret of the server's administrator.

    Every checkout that uses the server derives the same, so that none locks another out.
    """
    return {
        user.name: hmac.new(secret.encode(), f"mongodb {user.name}".encode(), hashlib.sha256).hexdigest()[:32]
        for user in users
    }

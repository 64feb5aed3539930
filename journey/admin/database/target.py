"""The database that a program administers, as the environment describes it.

`MONGO_ADMIN_URL` names the administrator, `MONGO_ADMIN_PASSWORD_FILE` its password. The directory
`CREDENTIALS_DIR` holds the password of each user in a file `mongo_<user>`; missing files are created.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from journey.admin.administrator_url import administrator_url
from journey.admin.database.admin import DatabaseAdmin, with_login
from journey.admin.database.users import DatabaseUser, derived_passwords, stored_users
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.password_files import existing_or_new

FILE = "mongo_{}"
_VARIABLES = ("MONGO_ADMIN_URL", "MONGO_ADMIN_PASSWORD_FILE")


@dataclass(frozen=True)
class DatabaseTarget:
    """`url`: with the administrator's credentials. `passwords`: by user."""

    url: str = field(repr=False)
    users: list[DatabaseUser]
    passwords: dict[str, str] = field(repr=False)
    prefix: str = ""

    def url_of(self, user: str) -> str:
        """The URL with the credentials of this user, a service or the operator; without the prefix."""
        name = f"{self.prefix}{user}"
        return with_login(self.url, name, self.passwords[name])

    async def apply(self) -> None:
        """Raises InfrastructureUnavailable."""
        async with DatabaseAdmin(self.url) as admin:
            await admin.apply(self.users, self.passwords)

    async def plan(self) -> list[str]:
        """Raises InfrastructureUnavailable."""
        async with DatabaseAdmin(self.url) as admin:
            return await admin.plan(self.users, self.passwords)


def derived_target(url: str, prefix: str, users: list[DatabaseUser], *, secret: str) -> DatabaseTarget:
    """For databases of developers and tests: passwords derived from a secret of the administrator.

    `prefix`: of the names of the users.
    """
    return DatabaseTarget(url, users, derived_passwords(users, secret), prefix)


def target_from(environ: Mapping[str, str] = os.environ) -> DatabaseTarget:
    """Raises InfrastructureUnavailable with the name of a variable that is missing or wrong."""
    missing = [name for name in ("MONGO_ADMIN_URL", "CREDENTIALS_DIR") if not environ.get(name)]
    if missing:
        raise InfrastructureUnavailable(
            f"{' and '.join(missing)} not set", "see docs/security.md, section Users of the database"
        )
    url = administrator_url(environ, *_VARIABLES, schemes=("mongodb", "mongodb+srv"))
    _require_valid(url)
    users = stored_users()
    files = existing_or_new(Path(environ["CREDENTIALS_DIR"]), (FILE.format(user.name) for user in users))
    return DatabaseTarget(url, users, {user.name: files[FILE.format(user.name)] for user in users})


def _require_valid(url: str) -> None:
    """The addresses of `mongodb+srv` are in the DNS, so the driver checks that URL when it connects."""
    if url.startswith("mongodb+srv://"):
        return
    try:
        parse_uri(url)
    except (PyMongoError, ValueError, OSError) as error:
        raise InfrastructureUnavailable(
            f"MONGO_ADMIN_URL is not valid: {error}", "correct it: mongodb://admin@host:27017/?replicaSet=rs0"
        ) from None

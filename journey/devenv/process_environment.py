"""The environment of the shop's processes on this machine: addresses, and passwords in files."""

import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chassis.connection_urls import without_password
from chassis.messaging.envelope import OPERATOR
from journey.admin.database.target import FILE, DatabaseTarget
from journey.admin.endpoints import GATEWAY, ShopEndpoints, instances_file
from journey.admin.instances import process_of
from journey.admin.private_files import write_private
from journey.admin.registry import SERVICES, WEB_PROGRAMS
from journey.devenv import addresses

ROOT = Path(__file__).resolve().parents[2]
_INHERITED = (
    *("PATH", "HOME", "LANG", "SSL_CERT_FILE", "TZ", "TRACE_DELAYED", "TLS_CA_FILE", "SMTP_CA_FILE"),
    "PARTITIONS",
)


@dataclass(frozen=True)
class ProcessEnvironment:
    """The environment holds no password: other programs of the user can read it (proc(5), `environ`)."""

    state_dir: Path
    endpoints: ShopEndpoints
    database: DatabaseTarget
    smtp_url: str

    def of(self, name: str, instance: int) -> dict[str, str]:
        """The settings of all services, of which each reads its own."""
        endpoints, process = self.endpoints, process_of(name, instance)
        return {
            **inherited(),
            "PYTHONPATH": str(ROOT),
            "MONGO_DATABASE": f"{endpoints.database_prefix}{name}",
            "PROVIDER_DATABASE": f"{endpoints.database_prefix}card_provider",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": addresses.port_of(endpoints.http[process]),
            "SMTP_URL": self.smtp_url,
            "SHOP_URL": endpoints.shop_url,
            "SERVICE_TOKEN_FILE": str(self.state_dir / "service_token"),
            "INSTANCES_FILE": str(instances_file(self.state_dir)),
            **{f"{each.upper()}_URL": endpoints.http[each] for each in (*SERVICES, *WEB_PROGRAMS)},
            **(self._of_the_operator() if name == "operations" else self._of_a_service(name)),
            **(_of_the_gateway(endpoints.public[process]) if name == GATEWAY else {}),
        }

    def password_file(self, name: str) -> Path:
        """`name`: of a broker user, or `mongo_<user>` for one of the database."""
        return credentials_dir(self.state_dir) / name

    def _of_the_broker(self, user: str) -> dict[str, str]:
        file = self._written(user, self.endpoints.passwords[user])
        return {"AMQP_URL": without_password(self.endpoints.amqp_url(user)), "AMQP_PASSWORD_FILE": file}

    def _of_a_service(self, name: str) -> dict[str, str]:
        user = f"{self.database.prefix}{name}"
        return self._of_the_broker(name) | {
            "MONGO_URL": without_password(self.database.url_of(name)),
            "MONGO_PASSWORD_FILE": self._written(FILE.format(user), self.database.passwords[user]),
        }

    def _of_the_operator(self) -> dict[str, str]:
        return self._of_the_broker(OPERATOR) | {
            "RABBITMQ_MANAGEMENT_URL": self.endpoints.rabbitmq_ui,
            "RABBITMQ_UI_URL": self.endpoints.rabbitmq_ui,
        }

    def _written(self, name: str, password: str) -> str:
        """The name of the file, which holds the password."""
        file = self.password_file(name)
        if not file.exists() or file.read_text() != password:
            write_private(file, password)
        return str(file)


def replaced_passwords(state_dir: Path, users: Iterable[str], file: str = "{}") -> dict[str, str]:
    """The passwords in the files of these users, as far as they exist.

    A password that was replaced is there, so that it lasts. `file`: pattern for the name of a user's file.
    """
    files = {user: credentials_dir(state_dir) / file.format(user) for user in users}
    found = {user: path.read_text().strip() for user, path in files.items() if path.exists()}
    return {user: password for user, password in found.items() if password}


def credentials_dir(state_dir: Path) -> Path:
    return state_dir / "credentials"


def service_token(state_dir: Path) -> str:
    """The token with which services authenticate to each other; created once,
    then kept in the state directory.
    """
    path = state_dir / "service_token"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text().partition("\n")[0]


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that a child process needs; everything else could be taken for a setting."""
    return {key: value for key, value in environ.items() if key in _INHERITED or key.startswith("OTEL_")}


def _of_the_gateway(public: str) -> dict[str, str]:
    return {"PUBLIC_HOST": "127.0.0.1", "PUBLIC_PORT": addresses.port_of(public), "PUBLIC_URL": public}

"""Addresses and credentials of a running shop. `journey up` writes them, all other commands read them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from chassis.messaging.envelope import OPERATOR
from journey.admin.private_files import write_private

GATEWAY = "gateway"


@dataclass(frozen=True)
class ShopEndpoints:
    """Contains passwords. `http`: internal address of each process; `public`: public address of each gateway.

    `scale`: instances per service as set by `journey scale`; used with compose only. `mongo_url`: empty if
    the database cannot be reached from here.
    """

    kind: str
    vhost: str
    amqp_base: str = field(repr=False)
    passwords: dict[str, str] = field(repr=False)
    http: dict[str, str]
    rabbitmq_ui: str
    mailbox_url: str
    database_prefix: str = ""
    public: dict[str, str] = field(default_factory=dict)
    service_token: str = field(default="", repr=False)
    scale: dict[str, int] = field(default_factory=dict)
    mongo_url: str = field(default="", repr=False)

    @property
    def shop_url(self) -> str:
        """The URL for browsers; links in mails use it too."""
        return self.public.get(GATEWAY, "")

    @property
    def management_url(self) -> str:
        """The broker's management API with the operator's credentials."""
        return self.rabbitmq_ui.replace("://", f"://{OPERATOR}:{quote(self.passwords[OPERATOR], safe='')}@")

    def amqp_url(self, user: str) -> str:
        """With the scheme and the options of `amqp_base`, such as `amqps` and `cafile`."""
        parts = urlsplit(self.amqp_base)
        login = f"{user}:{quote(self.passwords[user], safe='')}"
        netloc = f"{login}@{parts.netloc.rpartition('@')[2]}"
        return parts._replace(netloc=netloc, path=f"/{quote(self.vhost, safe='')}").geturl()


def recorded(state_dir: Path) -> ShopEndpoints | None:
    """The endpoints of the shop that was started with this state directory, or None."""
    try:
        return ShopEndpoints(**json.loads(_file(state_dir).read_text()))
    except FileNotFoundError:
        return None


def record(state_dir: Path, endpoints: ShopEndpoints) -> None:
    write_private(_file(state_dir), json.dumps(asdict(endpoints), indent=2))
    found: dict[str, list[str]] = {}
    for process, address in sorted(endpoints.http.items()):
        found.setdefault(process.partition(".")[0], []).append(address)
    write_private(instances_file(state_dir), json.dumps(found, indent=2))


def instances_file(state_dir: Path) -> Path:
    """The file that lists all instances of each service; see chassis/instances.py."""
    return state_dir / "instances.json"


def forget(state_dir: Path) -> None:
    instances_file(state_dir).unlink(missing_ok=True)
    _file(state_dir).unlink(missing_ok=True)


def _file(state_dir: Path) -> Path:
    return state_dir / "system.json"

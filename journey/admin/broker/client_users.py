"""The broker user of a client program: its name, its queues, and the commands that it may send.

The permitted commands are stored as tags of the broker user: `may:order.place` permits every version of that
command. Applying the topology derives the permissions from the tags again, so they follow the contracts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chassis.bus.topology_model import BrokerUser, Topology
from chassis.messaging.catalog import Catalog
from chassis.messaging.message import Message
from chassis.messaging.senders import CLIENT, exactly
from chassis.messaging.topology_names import TopologyNames
from contracts.catalog import CATALOG

CONNECTIONS_MAX = 10
CHANNELS_MAX = 100
LIMITS = {"max-connections": CONNECTIONS_MAX, "max-channels": CHANNELS_MAX}
NONE = "none"
# No dot in a name: the queues of `a` begin with `client.a.`, and no other client's queues may.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_TAG = "client"
_MAY, _VHOST = "may:", "vhost:"


class NotAllowed(ValueError):
    """An invalid client name, or a command that clients cannot send; the text lists the valid ones."""


@dataclass(frozen=True)
class ClientUser:
    """`may`: commands without their version, such as `order.place`."""

    name: str
    may: tuple[str, ...]
    catalog: Catalog = field(default_factory=lambda: CATALOG, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NotAllowed(
                f"{self.name[:60]!r} is no valid client name; use a letter, then up to 39 characters of "
                "a-z, 0-9 and -"
            )

    @property
    def user(self) -> str:
        return f"{self.catalog.names.client}.{self.name}"

    @property
    def queue_prefix(self) -> str:
        return f"{self.user}."

    @property
    def commands(self) -> list[type[Message]]:
        """The commands that it may send, in all current versions."""
        return [command for command in self.catalog.sent_by(CLIENT) if _without_version(command) in self.may]

    @property
    def types(self) -> list[str]:
        return [command.TYPE for command in self.commands]

    def tags(self, vhost: str) -> str:
        return ",".join((_TAG, _VHOST + vhost, *(_MAY + name for name in self.may)))

    def rights(self) -> BrokerUser:
        names = self.catalog.names
        own = f"{names.client}[.]{self.name}[.]"
        return BrokerUser(
            self.user,
            configure=f"^{own}",
            write=f"^({names.commands}$|{own})",
            read=f"^({names.client_events}$|{own})",
            topics={names.commands: exactly(self.commands), names.events: exactly(())},
        )


def permitted(text: str | None) -> tuple[str, ...]:
    """Parse `--may place,cancel`. None: all commands that clients may send; `none`: no command."""
    names = list(dict.fromkeys(map(_without_version, CATALOG.sent_by(CLIENT))))
    if text is None:
        return tuple(names)
    asked = [] if text.strip() == NONE else [name.strip() for name in text.split(",")]
    found = {name for each in asked for name in _meant(each, names)}
    return tuple(name for name in names if name in found)


def _meant(asked: str, names: Sequence[str]) -> list[str]:
    matching = [name for name in names if asked in (name, name.partition(".")[2])]
    if len(matching) == 1:
        return matching
    what = "may mean several commands" if matching else "is not a command that clients can send"
    raise NotAllowed(f"--may: {asked[:60]!r} {what}; choose from {', '.join(names)}, or {NONE}")


def known(users: Iterable[Mapping[str, Any]], vhost: str, catalog: Catalog = CATALOG) -> list[ClientUser]:
    """The clients of one system in a virtual host, from the broker's list of users."""
    found = []
    prefix = f"{catalog.names.client}."
    for each in users:
        tags = _tags(each)
        name = str(each["name"]).removeprefix(prefix)
        if (
            _TAG in tags
            and _VHOST + vhost in tags
            and _NAME.fullmatch(name)
            and each["name"] == prefix + name
        ):
            may = tuple(tag.removeprefix(_MAY) for tag in tags if tag.startswith(_MAY))
            found.append(ClientUser(name, may, catalog))
    return sorted(found, key=lambda client: client.name)


def added(wanted: Topology, users: Iterable[Mapping[str, Any]], vhost: str) -> Topology:
    """The topology, with the users of the client programs on the broker."""
    return replace(
        wanted, users=(*wanted.users, *(client.rights() for client in known(users, vhost, wanted.catalog)))
    )


def is_client(user: str, names: TopologyNames) -> bool:
    """Whether a broker user, or a queue by its name, belongs to a client program."""
    return user.startswith(f"{names.client}.")


def owner(queue: str, names: TopologyNames) -> str:
    """The broker user that owns a client's queue: its name up to the second dot,
    else the system's own client.
    """
    parts = queue.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else names.client


def _tags(user: Mapping[str, Any]) -> list[str]:
    """A list; before RabbitMQ 3.9 a comma-separated string."""
    tags = user.get("tags") or []
    return tags.split(",") if isinstance(tags, str) else list(tags)


def _without_version(command: type[Message]) -> str:
    return command.TYPE.rpartition(".")[0]

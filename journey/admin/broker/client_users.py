"""The broker user of a client program: its name, its queues, and the commands that it may send.

The permitted commands are stored as tags of the broker user: `may:order.place` permits every version of that
command. Applying the topology derives the permissions from the tags again, so they follow the contracts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chassis.bus import topology
from chassis.bus.topology_model import BrokerUser, Topology
from chassis.messaging.envelope import CLIENT_EVENTS, COMMANDS, EVENTS
from chassis.messaging.message import Message
from chassis.messaging.senders import exactly
from contracts.catalog import CATALOG

CONNECTIONS_MAX = 10
CHANNELS_MAX = 100
LIMITS = {"max-connections": CONNECTIONS_MAX, "max-channels": CHANNELS_MAX}
NONE = "none"
_PREFIX = f"{topology.CLIENT}."
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

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NotAllowed(
                f"{self.name[:60]!r} is no valid client name; use a letter, then up to 39 characters of "
                "a-z, 0-9 and -"
            )

    @property
    def user(self) -> str:
        return _PREFIX + self.name

    @property
    def queue_prefix(self) -> str:
        return f"{self.user}."

    @property
    def commands(self) -> list[type[Message]]:
        """The commands that it may send, in all current versions."""
        return [
            command for command in CATALOG.sent_by(topology.CLIENT) if _without_version(command) in self.may
        ]

    @property
    def types(self) -> list[str]:
        return [command.TYPE for command in self.commands]

    def tags(self, vhost: str) -> str:
        return ",".join((_TAG, _VHOST + vhost, *(_MAY + name for name in self.may)))

    def rights(self) -> BrokerUser:
        own = f"client[.]{self.name}[.]"
        return BrokerUser(
            self.user,
            configure=f"^{own}",
            write=f"^({COMMANDS}$|{own})",
            read=f"^({CLIENT_EVENTS}$|{own})",
            topics={COMMANDS: exactly(self.commands), EVENTS: exactly(())},
        )


def permitted(text: str | None) -> tuple[str, ...]:
    """Parse `--may place,cancel`. None: all commands that clients may send; `none`: no command."""
    names = list(dict.fromkeys(map(_without_version, CATALOG.sent_by(topology.CLIENT))))
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


def known(users: Iterable[Mapping[str, Any]], vhost: str) -> list[ClientUser]:
    """The clients of one virtual host, from the broker's list of users."""
    found = []
    for each in users:
        tags = _tags(each)
        name = str(each["name"]).removeprefix(_PREFIX)
        if (
            _TAG in tags
            and _VHOST + vhost in tags
            and _NAME.fullmatch(name)
            and each["name"] == _PREFIX + name
        ):
            found.append(
                ClientUser(name, tuple(tag.removeprefix(_MAY) for tag in tags if tag.startswith(_MAY)))
            )
    return sorted(found, key=lambda client: client.name)


def added(wanted: Topology, users: Iterable[Mapping[str, Any]], vhost: str) -> Topology:
    """The topology, with the users of the client programs on the broker."""
    return replace(wanted, users=(*wanted.users, *(client.rights() for client in known(users, vhost))))


def is_client(user: str) -> bool:
    """Whether a broker user belongs to a client program."""
    return user.startswith(_PREFIX)


def owner(queue: str) -> str:
    """The broker user that owns a client's queue: its name up to the second dot,
    else the shop's own client.
    """
    names = queue.split(".")
    return ".".join(names[:2]) if len(names) > 2 else topology.CLIENT


def _tags(user: Mapping[str, Any]) -> list[str]:
    """A list; before RabbitMQ 3.9 a comma-separated string."""
    tags = user.get("tags") or []
    return tags.split(",") if isinstance(tags, str) else list(tags)


def _without_version(command: type[Message]) -> str:
    return command.TYPE.rpartition(".")[0]

"""Exchanges, queues, bindings, policies, users and rights: one source, derived from what the services hear.

Exported as RabbitMQ definitions and applied by an operator; services only look, they never declare. The only
argument of a queue is its type, for arguments can never be changed; everything else is a policy.
"""

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.retry import DEAD, LADDER, LADDER_MS
from chassis.service import Service
from contracts.envelope import COMMANDS, EVENTS, OPERATOR
from contracts.message import OWNERS, Command

Json = dict[str, Any]

UNROUTABLE = "unroutable"
JOURNAL = "journal"
CLIENT = "client"
BOUNDED = "notification_svc"  # its queues may lose their oldest: every mail can be made again from the journal

# A consumer that dies burns one delivery of all that it held; poison is our own decision, after far fewer tries.
DELIVERY_LIMIT = 100
NOTIFICATION_MESSAGES_MAX = 100_000
NOTIFICATION_BYTES_MAX = 256 * 2**20
DEAD_BYTES_MAX = 64 * 2**20
UNROUTABLE_BYTES_MAX = 16 * 2**20
JOURNAL_BYTES_MAX = 1024 * 2**20
JOURNAL_SEGMENT_BYTES = 64 * 2**20
JOURNAL_AGE = "30D"


@dataclass(frozen=True)
class Queue:
    name: str
    type: str = "quorum"


@dataclass(frozen=True)
class Binding:
    exchange: str
    key: str
    queue: str


@dataclass(frozen=True)
class Policy:
    name: str
    pattern: str
    apply_to: str
    definition: Json
    priority: int = 1


@dataclass(frozen=True)
class User:
    """A broker user: `configure`, `write` and `read` are regular expressions over names, `topics` over routing keys."""

    name: str
    configure: str
    write: str
    read: str
    topics: Mapping[str, str]
    tags: str = ""


@dataclass(frozen=True)
class Topology:
    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    policies: tuple[Policy, ...]
    users: tuple[User, ...]

    def definitions(self, vhost: str, password_hashes: Mapping[str, str]) -> Json:
        """RabbitMQ's definitions format. Users without a password hash here are left as they are in the broker."""
        users = [user for user in self.users if user.name in password_hashes]
        return {
            "vhosts": [{"name": vhost}],
            "users": [
                {
                    "name": user.name,
                    "password_hash": password_hashes[user.name],
                    "tags": user.tags,
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                }
                for user in users
            ],
            "permissions": [
                {"user": user.name, "vhost": vhost, "configure": user.configure, "write": user.write, "read": user.read}
                for user in users
            ],
            "topic_permissions": [
                {"user": user.name, "vhost": vhost, "exchange": exchange, "write": keys, "read": ".*"}
                for user in users
                for exchange, keys in user.topics.items()
            ],
            **self.objects(vhost),
        }

    def objects(self, vhost: str) -> Json:
        """Exchanges, queues, bindings and policies only."""
        everywhere = {"vhost": vhost, "durable": True, "auto_delete": False}
        return {
            "exchanges": [
                {"name": name, "type": "topic", "internal": False, "arguments": _arguments(name), **everywhere}
                for name in self.exchanges
            ],
            "queues": [
                {"name": queue.name, "arguments": {"x-queue-type": queue.type}, **everywhere} for queue in self.queues
            ],
            "bindings": [
                {
                    "source": b.exchange,
                    "vhost": vhost,
                    "destination": b.queue,
                    "destination_type": "queue",
                    "routing_key": b.key,
                    "arguments": {},
                }
                for b in self.bindings
            ],
            "policies": [
                {
                    "vhost": vhost,
                    "name": p.name,
                    "pattern": p.pattern,
                    "apply-to": p.apply_to,
                    "definition": p.definition,
                    "priority": p.priority,
                }
                for p in self.policies
            ],
        }


def build(services: Iterable[Service], delay_scale: float = 1.0) -> Topology:
    """The whole topology. `delay_scale` shortens the retry ladder, for tests."""
    services = tuple(services)
    queues = [Queue(JOURNAL, "stream"), Queue(UNROUTABLE), *(Queue(rung) for rung in LADDER)]
    bindings = [Binding(EVENTS, "#", JOURNAL), Binding(UNROUTABLE, "#", UNROUTABLE)]
    bindings += [Binding(rung, "#", rung) for rung in LADDER]
    for service in services:
        queues += [Queue(name) for name in (service.events_queue, service.commands_queue, service.dead_queue)]
        bindings.append(Binding(DEAD, service.name, service.dead_queue))
        for heard in service.by_type:
            if issubclass(heard, Command):
                bindings.append(Binding(COMMANDS, heard.TYPE, service.commands_queue))
            else:
                bindings.append(Binding(EVENTS, heard.TYPE, service.events_queue))
    return Topology(
        exchanges=(COMMANDS, EVENTS, *LADDER, DEAD, UNROUTABLE),
        queues=tuple(queues),
        bindings=tuple(bindings),
        policies=_policies(services, delay_scale),
        users=(*(_service_user(service.name) for service in services), _client_user(), _operator_user()),
    )


def _arguments(exchange: str) -> Json:
    # `events` needs none: the journal takes every event. A command that nobody takes must come back to its sender,
    # so `commands` has none either; only what the machinery itself sends astray is kept for a look.
    return {"alternate-exchange": UNROUTABLE} if exchange == DEAD else {}


def _policies(services: tuple[Service, ...], delay_scale: float) -> tuple[Policy, ...]:
    safe = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}  # no length: it never rejects
    policies = [
        Policy(
            rung,
            f"^{rung.replace('.', '[.]')}$",
            "queues",
            {
                "message-ttl": max(1, int(LADDER_MS[rung] * delay_scale)),
                "dead-letter-exchange": "",
                "delivery-limit": DELIVERY_LIMIT,
                **safe,
            },
        )
        for rung in LADDER
    ]
    for service in services:
        limit: Json = {
            "delivery-limit": DELIVERY_LIMIT,
            "dead-letter-exchange": DEAD,
            "dead-letter-routing-key": service.name,
        }
        if service.name == BOUNDED:
            limit |= {
                "max-length": NOTIFICATION_MESSAGES_MAX,
                "max-length-bytes": NOTIFICATION_BYTES_MAX,
                "overflow": "drop-head",
            }
        else:
            limit |= safe
        policies.append(Policy(service.name, f"^{service.name}[.](events|commands)$", "queues", limit))
    policies += [
        Policy("dead", f"^.*[.]{DEAD}$", "queues", {"max-length-bytes": DEAD_BYTES_MAX, "overflow": "drop-head"}),
        Policy(
            UNROUTABLE, f"^{UNROUTABLE}$", "queues", {"max-length-bytes": UNROUTABLE_BYTES_MAX, "overflow": "drop-head"}
        ),
        Policy(
            JOURNAL,
            f"^{JOURNAL}$",
            "queues",
            {
                "max-length-bytes": JOURNAL_BYTES_MAX,
                "max-age": JOURNAL_AGE,
                "stream-max-segment-size-bytes": JOURNAL_SEGMENT_BYTES,
            },
        ),
    ]
    return tuple(policies)


def _service_user(name: str) -> User:
    """May say its own events, and command nobody but itself."""
    words = "|".join(word for word, owner in OWNERS.items() if owner == name)
    own = f"^({words})[.]"
    ladder = "|".join(rung.replace(".", "[.]") for rung in LADDER)
    return User(
        name,
        configure="^$",
        write=f"^({COMMANDS}|{EVENTS}|{ladder}|{DEAD})$",
        read=f"^{name}[.](events|commands|dead)$",
        topics={COMMANDS: own, EVENTS: own, DEAD: f"^{name}$", **dict.fromkeys(LADDER, f"^{name}[.]")},
    )


def _client_user() -> User:
    """May place and cancel orders and listen to events on a queue of its own; it may command nothing else."""
    return User(
        CLIENT,
        configure="^amq[.]gen.*$",
        write=f"^({COMMANDS}|amq[.]gen.*)$",
        read=f"^({EVENTS}|amq[.]gen.*)$",
        topics={COMMANDS: r"^order[.](place|cancel)[.]"},
    )


def _operator_user() -> User:
    return User(OPERATOR, ".*", ".*", ".*", {}, tags="administrator")


def password_hash(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's salted SHA-256 form (manual: "Credentials and Passwords")."""
    salt = salt or os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def matches(pattern: str, key: str) -> bool:
    """AMQP 0-9-1 topic matching: `*` is one word, `#` any number of words."""
    return _match(pattern.split("."), key.split("."))


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])

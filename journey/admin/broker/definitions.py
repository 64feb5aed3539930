"""The topology as JSON in RabbitMQ's definitions format, for import and comparison."""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from chassis.bus.partitioning import HASH_EXCHANGE, HASHED_HEADER, ONE_SHARE
from chassis.bus.topology_model import Topology

Json = dict[str, Any]


def render(topology: Topology, vhost: str, password_hashes: Mapping[str, str]) -> Json:
    """The full definitions. Users without a password hash, and their permissions, are left out."""
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {
                "name": user.name,
                "password_hash": password_hashes[user.name],
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": user.tags,
            }
            for user in topology.users
            if user.name in password_hashes
        ],
        **rights(topology, vhost, password_hashes),
        **objects(topology, vhost),
    }


def rights(topology: Topology, vhost: str, names: Mapping[str, object]) -> Json:
    """Permissions of the named users.

    The users must exist: a permission of an unknown user fails the whole import.
    """
    users = [user for user in topology.users if user.name in names]
    return {
        "permissions": [
            {
                "user": user.name,
                "vhost": vhost,
                "configure": user.configure,
                "write": user.write,
                "read": user.read,
            }
            for user in users
        ],
        "topic_permissions": [
            {"user": user.name, "vhost": vhost, "exchange": exchange, "write": keys, "read": ".*"}
            for user in users
            for exchange, keys in user.topics.items()
        ],
    }


def objects(topology: Topology, vhost: str) -> Json:
    """Exchanges, queues, bindings and policies only."""
    kept = {"vhost": vhost, "durable": True, "auto_delete": False}
    return {
        "exchanges": [
            {"name": name, "type": "topic", "internal": False, "arguments": {}, **kept}
            for name in topology.exchanges
        ]
        + [
            {
                "name": name,
                "type": HASH_EXCHANGE,
                "internal": False,
                "arguments": {"hash-header": HASHED_HEADER},
                **kept,
            }
            for name in topology.partitions
        ],
        "queues": [
            {"name": queue.name, "arguments": {"x-queue-type": queue.type}, **kept}
            for queue in topology.queues
        ],
        "bindings": [
            {
                "source": source,
                "vhost": vhost,
                "destination": destination,
                "destination_type": kind,
                "routing_key": key,
                "arguments": {},
            }
            for source, key, kind, destination in _bindings(topology)
        ],
        "policies": [
            {
                "vhost": vhost,
                "name": policy.name,
                "pattern": policy.pattern,
                "apply-to": policy.apply_to,
                "definition": dict(policy.definition),
                "priority": policy.priority,
            }
            for policy in topology.policies
        ],
    }


def _bindings(topology: Topology) -> Iterator[tuple[str, str, str, str]]:
    """Source, routing key, type of destination, destination."""
    for each in topology.bindings:
        kind = "exchange" if each.queue in topology.partitions else "queue"
        yield each.exchange, each.key, kind, each.queue
    for queue in topology.partitions:
        yield from ((queue, ONE_SHARE, "queue", partition) for partition in topology.partitions_of(queue))


def password_hash(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's salted SHA-256 form (manual: "Credentials and Passwords")."""
    salt = salt or os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()

"""What the broker writes about a message that it gave up itself, and what that tells of the message's origin."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from contracts.envelope import WireMessage
from contracts.message import REGISTRY
from contracts.origin import COPYING_HEADERS, HANDED_BACK, Origin, handed_back, origin_before

BY_BROKER = {
    "delivery_limit": "delivery limit reached: its consumer died, or gave it back, again and again",
    "maxlen": "the queue was full, and its oldest messages made way",
    "expired": "it waited too long in its queue",
    "rejected": "its consumer refused it without a word",
}


def origin_by_broker(service: str, wire_message: WireMessage, death: Mapping[str, Any]) -> Origin:
    """The broker keeps the headers of what it gives up, and tells how the message had come into the queue."""
    keys = death.get("routing-keys")
    keys = [str(key) for key in keys] if isinstance(keys, list) and keys else [""]
    arrived = replace(wire_message, exchange=str(death.get("exchange", "")), routing_key=keys[0])
    if arrived.exchange == HANDED_BACK and not handed_back(arrived, service):
        return Origin(wire_message.user_id or "", "", keys[0])
    # The entry about this death is the broker's own, so only headers that copy are a detour.
    copied = "CC" if len(keys) > 1 or any(key.lower() in COPYING_HEADERS for key in wire_message.headers) else ""
    if death.get("reason") == "expired" and arrived.direct:
        # An inbox has no time limit, so the sender gave the message one. With it a client decides that the broker gives
        # the message up unread, and brokers before 3.13 then keep the exchange and the key that the client has claimed.
        copied = "x-death"
    own = {key: value for key, value in wire_message.headers.items() if not key.startswith("x-")}
    origin = Origin.of(replace(arrived, headers=own), service)
    if not origin.user and wire_message.type in REGISTRY and (arrived.attempt or arrived.postponed):
        origin = origin_before(REGISTRY[wire_message.type])  # an earlier version put it on the ladder
    return replace(origin, detour=origin.detour or copied)


def broker_death(service: str, headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The broker's latest entry about one of the service's own queues; the ladder's expiries are no deaths.

    What a service has dead-lettered itself carries none: republishing drops the broker's headers.
    """
    deaths = headers.get("x-death")
    if not isinstance(deaths, list):
        return None
    return next(
        (death for death in deaths if isinstance(death, dict) and str(death.get("queue")).startswith(f"{service}.")),
        None,
    )

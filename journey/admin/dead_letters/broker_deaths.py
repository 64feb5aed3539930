"""Interprets the x-death header of messages that the broker dead-lettered: the reason,
and the message's origin.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chassis.messaging.envelope import WireMessage
from chassis.messaging.origin import COPYING_HEADERS, HANDED_BACK, Origin, handed_back, origin_before
from contracts.catalog import CATALOG, NAMES

BY_BROKER = {
    "delivery_limit": "delivery limit reached: its consumer died or requeued it repeatedly",
    "maxlen": "the queue was full, and its oldest messages were discarded",
    "expired": "it expired in its queue",
    "rejected": "its consumer rejected it without a reason",
}


def origin_by_broker(service: str, wire_message: WireMessage, death: Mapping[str, Any]) -> Origin:
    """The broker keeps the headers, and records the exchange and routing keys with which the message
    arrived.
    """
    keys = death.get("routing-keys")
    keys = [str(key) for key in keys] if isinstance(keys, list) and keys else [""]
    arrived = replace(wire_message, exchange=str(death.get("exchange", "")), routing_key=keys[0])
    if arrived.exchange == HANDED_BACK and not handed_back(arrived, service):
        return Origin(wire_message.user_id or "", "", keys[0])
    # The entry about this death is the broker's own. So only headers that copy a message count as a detour.
    copied = (
        "CC" if len(keys) > 1 or any(key.lower() in COPYING_HEADERS for key in wire_message.headers) else ""
    )
    if death.get("reason") == "expired" and arrived.direct:
        # An input queue has no time limit, so the sender set one. A client can use it to make the broker
        # dead-letter its message unread, and brokers before 3.13 then keep the exchange and key that the
        # client has claimed.
        copied = "x-death"
    own = {key: value for key, value in wire_message.headers.items() if not key.startswith("x-")}
    origin = Origin.of(replace(arrived, headers=own), service)
    contract = CATALOG.get(wire_message.type or "")
    if not origin.user and contract is not None and (arrived.attempt or arrived.postponed):
        origin = origin_before(contract, NAMES)  # an earlier version put it on the retry ladder
    return replace(origin, detour=origin.detour or copied)


def broker_death(service: str, headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The broker's latest x-death entry for one of the service's queues;
    expiries on the retry ladder do not count.

    A message that the service dead-lettered has none, because republishing drops the broker's headers.
    """
    deaths = headers.get("x-death")
    if not isinstance(deaths, list):
        return None
    return next(
        (
            death
            for death in deaths
            if isinstance(death, dict) and str(death.get("queue")).startswith(f"{service}.")
        ),
        None,
    )

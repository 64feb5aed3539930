"""The audit log of operators' actions on messages: a stream queue on the broker, so reading removes nothing.

An entry is confirmed before its message is touched. After a crash, the log can hold an action that did not
happen, but every action that happened is in the log.
"""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity

from chassis.bus.aiormq_frames import aiormq_connection
from chassis.bus.protocol import Bus, BusUnavailable, MessageNotEncodable
from chassis.messaging.envelope import WireMessage
from chassis.messaging.identity import new_id
from chassis.messaging.untrusted import shortened
from contracts.catalog import NAMES
from journey.admin.dead_letters.reader import RESPONSE_S_MAX, connected
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable

ACT, MARKER = "audit.act", "audit.mark"  # not wire types: no service consumes them
_PREFETCH = 500


@dataclass(frozen=True)
class AuditEntry:
    """Who did what to which message, when, and why.

    `queue`: the target of a redrive, or the source of a drop; empty for an action without a message.
    """

    at: datetime
    by: str
    action: str
    reason: str
    message_id: str
    type: str
    journey_id: str
    service: str
    queue: str
    error: str

    @classmethod
    def of_action(
        cls,
        at: datetime,
        by: str,
        action: str,
        *,
        type: str,
        service: str,
        reason: str = "",
        order_id: str = "",
    ) -> "AuditEntry":
        """An action that sends and removes no message. `type`: what it is about."""
        return cls(at, by, action, reason, "", type, order_id, service, "", "")

    def document(self) -> dict[str, str]:
        return {**asdict(self), "at": self.at.isoformat()}

    def wire_message(self) -> WireMessage:
        body = json.dumps(self.document(), ensure_ascii=False).encode(errors="replace")
        return WireMessage("", NAMES.audit, body, str(new_id()), ACT, "journey", shortened(self.journey_id))

    @classmethod
    def read(cls, body: bytes) -> "AuditEntry":
        """Ignores fields that a later version has added."""
        known = {key: value for key, value in json.loads(body).items() if key in cls.__dataclass_fields__}
        return cls(**{**known, "at": datetime.fromisoformat(known["at"])})


async def record(bus: Bus, entries: Sequence[AuditEntry]) -> None:
    """Returns when the broker has confirmed all entries; if it raises, do not act on the messages."""
    for error in await bus.publish([entry.wire_message() for entry in entries]):
        if isinstance(error, BusUnavailable):
            raise error
        if isinstance(error, MessageNotEncodable):
            raise InfrastructureUnavailable(
                f"an audit entry cannot be encoded: {error}", "this is a bug of the shop"
            )
        if error is not None:
            raise InfrastructureUnavailable(
                f"the audit log is missing: {error}", "create it: `journey topology apply`"
            )


async def read(
    amqp_url: str, since: datetime | None = None, *, latest: int | None = None
) -> list[AuditEntry]:
    """All entries, or the `latest` ones, oldest first.

    A stream has no end. We publish a marker message into it and read until the marker: all earlier entries
    precede it.
    """
    entries: deque[AuditEntry] = deque(maxlen=latest)
    async with connected(amqp_url) as connection:
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        async with aiormq_connection.broker_call(RESPONSE_S_MAX):
            channel = await connection.channel()
            await channel.basic_qos(prefetch_count=_PREFETCH)
            try:
                await channel.basic_consume(NAMES.audit, arrived.put, arguments={"x-stream-offset": "first"})
            except ChannelNotFoundEntity as error:
                raise InfrastructureUnavailable(
                    f"the audit log is missing: {error}", "create it: `journey topology apply`"
                ) from None
        marker = str(new_id())
        wire_message = WireMessage("", NAMES.audit, b"", marker, MARKER, "journey", None)
        user = unquote(urlsplit(amqp_url).username or "")
        for refused in await aiormq_connection.publish(channel, [wire_message], user, limit_s=RESPONSE_S_MAX):
            if refused is not None:
                raise BusUnavailable(str(refused))
        while True:
            async with aiormq_connection.broker_call(RESPONSE_S_MAX):
                message = await arrived.get()
                await channel.basic_ack(message.delivery_tag or 0)
            properties = message.header.properties
            if properties.message_id == marker:
                return list(entries)
            if properties.message_type == ACT:
                entry = AuditEntry.read(message.body)
                if since is None or entry.at >= since:
                    entries.append(entry)

"""Access to the broker for the staff pages: queue statistics, dead letters, the audit log, and commands."""

import asyncio
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from chassis.bus.protocol import BusUnavailable
from chassis.bus.rabbitmq import RabbitBus
from chassis.clock import utc_now
from chassis.messaging.envelope import WireMessage, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from contracts.catalog import CATALOG
from journey.admin.broker import losses
from journey.admin.broker.losses import Losses
from journey.admin.broker.management import AdminUnavailable, BrokerAdmin, Traffic
from journey.admin.dead_letters import audit_log, redrive
from journey.admin.dead_letters import oldest as dead_letter_reader
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.dead_letters.oldest import Oldest
from journey.admin.dead_letters.redrive import ActionResult, DeadLetterAction
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.registry import shop_topology
from operations.settings import OperationsSettings

NO_RESPONSE = "the broker does not respond; try again in a moment"
NOT_CONFIRMED = "the broker did not confirm it"
_SEND_S_MAX = 8.0
_STATS_S_MAX = 5.0


@dataclass(frozen=True)
class QueueStats:
    """Statistics by queue, and the alarms that make the broker block publishers."""

    traffic: Mapping[str, Traffic]
    alarms: Sequence[str]


class CommandNotSent(Exception):
    """The command was not sent. The text says why, and what to do."""

    def sentence(self, again: str) -> str:
        """What staff read. `again`: what a repetition leads to, if it may have been sent."""
        return f"Not sent: {self}"


class CommandNotConfirmed(CommandNotSent):
    """Whether the broker has the command is unknown.

    Sending it again is safe if it has the same ids: each service counts it once.
    """

    def sentence(self, again: str) -> str:
        return f"It is unknown whether it was sent: {self}; {again}"


class Broker:
    """The pages' access to the broker.

    Raises InfrastructureUnavailable, AdminUnavailable or CommandNotSent.
    """

    def __init__(self, settings: OperationsSettings, tls: ssl.SSLContext) -> None:
        self._settings = settings
        self._vhost = settings.vhost
        self._admin = BrokerAdmin(settings.management_url, tls)
        self._topology = shop_topology()

    async def close(self) -> None:
        await self._admin.__aexit__()

    async def queue_stats(self) -> QueueStats:
        try:
            async with asyncio.timeout(_STATS_S_MAX):
                traffic, alarms = await asyncio.gather(self._admin.traffic(self._vhost), self._admin.alarms())
        except TimeoutError:
            raise AdminUnavailable(
                "RabbitMQ's management API responds too slowly", "check the broker's load"
            ) from None
        return QueueStats(traffic, alarms)

    async def topology_drift(self) -> list[str]:
        """Differences between the broker and the topology, one sentence each."""
        return await self._admin.plan(self._topology, self._vhost)

    async def queue_fill(self) -> dict[str, float]:
        """Used share of the limit of each bounded queue, without the queues of client programs."""
        ours = {queue.name for queue in self._topology.queues}
        fill = await self._admin.queue_fill(self._vhost)
        return {queue: ratio for queue, ratio in fill.items() if queue in ours}

    async def losses(self) -> Losses:
        return await losses.read_losses(self._settings.broker_url())

    async def dead_letters(self, services: Collection[str]) -> Oldest:
        return await dead_letter_reader.oldest(self._settings.broker_url(), services)

    async def redrive_or_drop(
        self, dead_letters: Sequence[DeadLetter], act: DeadLetterAction, progress: Callable[[int], None]
    ) -> ActionResult:
        return await redrive.redrive_or_drop(self._settings.broker_url(), dead_letters, act, progress)

    async def audit_entries(self, latest: int) -> list[audit_log.AuditEntry]:
        return await audit_log.read(self._settings.broker_url(), latest=latest)

    async def send_command(self, command: Command, by: str) -> None:
        """Write the command and its author to the audit log, then send it.

        Returns when the broker has confirmed it. Raises CommandNotSent, or CommandNotConfirmed.
        """
        envelope = wrap(command, id=str(new_id()), source="operations", now=utc_now())
        queue = f"{command.OWNER}.commands"
        entry = audit_log.AuditEntry(
            utc_now(), by, "command", "", envelope.id, command.TYPE, command.subject, command.OWNER, queue, ""
        )
        error = await self._publish(entry, envelope.wire_message(CATALOG))
        if error is not None:
            raise CommandNotSent(f"{error}; `journey topology apply`, then try again")

    async def record_action(self, entry: audit_log.AuditEntry) -> None:
        """Write an action that sends no message to the audit log.

        Raises CommandNotSent if it is not written.
        """
        await self._publish(entry)

    async def _publish(self, entry: audit_log.AuditEntry, *wire_messages: WireMessage) -> Exception | None:
        """Write the audit entry, then send the messages. Returns why the broker refused one of them."""
        bus, is_sending = RabbitBus(self._settings.broker_url), False
        try:
            async with asyncio.timeout(_SEND_S_MAX):
                await bus.start()
                await audit_log.record(bus, [entry])
                is_sending = bool(wire_messages)
                refused = await bus.publish(wire_messages) if wire_messages else []
            if silent := next((error for error in refused if isinstance(error, BusUnavailable)), None):
                raise silent
        except (BusUnavailable, TimeoutError) as away:
            if is_sending:
                raise CommandNotConfirmed(NOT_CONFIRMED) from away
            raise CommandNotSent(NO_RESPONSE) from away
        except InfrastructureUnavailable as missing:
            raise CommandNotSent(f"{missing.reason}; {missing.remedy}") from missing
        finally:
            await bus.stop()
        return next((error for error in refused if error is not None), None)

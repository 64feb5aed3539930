"""An in-memory broker with the interface that operations uses."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from chassis.bus.memory import MemoryBroker, MemoryBus
from chassis.messaging.envelope import OPERATOR, WireMessage, wrap
from chassis.messaging.identity import new_id
from chassis.messaging.message import Command
from contracts.catalog import CATALOG
from journey.admin.broker.losses import Losses
from journey.admin.broker.management import AdminUnavailable, Traffic
from journey.admin.dead_letters import audit_log
from journey.admin.dead_letters.dead_letter import DeadLetter, dead_letter_of
from journey.admin.dead_letters.oldest import Oldest
from journey.admin.dead_letters.redrive import DROP, ActionResult, DeadLetterAction
from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from operations.broker import (
    NO_RESPONSE,
    NOT_CONFIRMED,
    Broker,
    CommandNotConfirmed,
    CommandNotSent,
    QueueStats,
)


class InMemoryBroker(Broker):
    """An operator's access to an in-memory broker. Each kind of response can be made unavailable."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.entries: list[audit_log.AuditEntry] = []
        self.counts_away = self.away = self.confirms_nothing = False
        self.overrides: dict[str, Traffic] = {}
        self.alarms: tuple[str, ...] = ()
        self.drift: list[str] = []
        self.fill: dict[str, float] = {}
        self.unread: dict[str, int] = {}
        self.hurdle = asyncio.Event()  # a redrive waits here before each dead letter while it is cleared
        self.hurdle.set()
        self.looks = self.polls = 0

    async def close(self) -> None:
        """Nothing to close."""

    async def queue_stats(self) -> QueueStats:
        self.polls += 1
        if self.counts_away:
            raise AdminUnavailable("no answer from RabbitMQ's management API", "start it")
        found = {
            name: Traffic(len(waiting), 0, len(self.broker.subscriptions[name]), 0.0, 0.0)
            for name, waiting in self.broker.queues.items()
        }
        return QueueStats(found | self.overrides, self.alarms)

    async def topology_drift(self) -> list[str]:
        if self.counts_away:
            raise AdminUnavailable("no answer from RabbitMQ's management API", "start it")
        return self.drift

    async def queue_fill(self) -> dict[str, float]:
        return self.fill

    async def losses(self) -> Losses:
        self._check()
        return Losses(dict(self.broker.lost))

    async def dead_letters(self, services: Collection[str]) -> Oldest:
        self.looks += 1
        self._check()
        return Oldest(
            [
                dead_letter_of(name, wire_message)
                for name in services
                for wire_message in self.broker.dead(name)
            ],
            self.unread,
        )

    async def redrive_or_drop(
        self, dead_letters: Sequence[DeadLetter], act: DeadLetterAction, progress: Callable[[int], None]
    ) -> ActionResult:
        done = ActionResult()
        for dead_letter in dead_letters:
            await self.hurdle.wait()
            self._check(f"after {done.settled} of {len(dead_letters)}: ")
            queue = self.broker.queues[dead_letter.queue]
            if dead_letter.wire_message not in queue:
                done.missing += 1
                continue
            self.entries.append(_entry(dead_letter, act))
            if act.action != DROP:
                self.arrive(dead_letter.original_message)
            queue.remove(dead_letter.wire_message)
            done.settled += 1
            progress(done.settled)
        return done

    async def audit_entries(self, latest: int) -> list[audit_log.AuditEntry]:
        self._check()
        return self.entries[-latest:]

    async def send_command(self, command: Command, by: str) -> None:
        if self.away:
            raise CommandNotSent(NO_RESPONSE)
        envelope = wrap(command, id=str(new_id()), source="operations", now=datetime.now(UTC))
        now, queue = datetime.now(UTC), f"{command.OWNER}.commands"
        self.entries.append(
            audit_log.AuditEntry(
                now, by, "command", "", envelope.id, command.TYPE, command.subject, command.OWNER, queue, ""
            )
        )
        [error] = await MemoryBus(self.broker, OPERATOR).publish([envelope.wire_message(CATALOG)])
        assert error is None, error
        if self.confirms_nothing:
            raise CommandNotConfirmed(NOT_CONFIRMED)

    async def record_action(self, entry: audit_log.AuditEntry) -> None:
        if self.away:
            raise CommandNotSent(NO_RESPONSE)
        self.entries.append(entry)

    def arrive(self, wire_message: WireMessage) -> None:
        """Publish straight into a queue, as the operator."""
        self.broker.queues[wire_message.routing_key].append(replace(wire_message, user_id=OPERATOR))
        self.broker.pump(wire_message.routing_key)

    def _check(self, before: str = "") -> None:
        if self.away:
            raise InfrastructureUnavailable(
                f"{before}the broker at rabbit:5672 does not respond", "see that it runs"
            )


def _entry(dead_letter: DeadLetter, act: DeadLetterAction) -> audit_log.AuditEntry:
    return audit_log.AuditEntry(
        at=datetime.now(UTC),
        by=act.by,
        action=act.action,
        reason=act.reason,
        message_id=dead_letter.id,
        type=dead_letter.type,
        journey_id=dead_letter.journey_id,
        service=dead_letter.service,
        queue=dead_letter.origin_queue,
        error=dead_letter.error,
    )

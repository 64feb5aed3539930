"""The broker as an operator meets it: its figures, the dead letters, the audit log, and commands of the staff."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from chassis.bus import BusUnavailable
from chassis.handle import utc_now
from chassis.rabbit import RabbitBus
from contracts.envelope import seal
from contracts.identity import new_id
from contracts.message import Command
from journey import audit, dead_letter_reader, losses, settling
from journey.broker_admin import AdminUnavailable, BrokerAdmin, Traffic
from journey.dead_letter_reader import Oldest
from journey.dead_letters import DeadLetter
from journey.infra.model import InfrastructureUnavailable
from journey.losses import Losses
from journey.settling import Act, Done

_GIVE_S_MAX = 8.0
_FIGURES_S_MAX = 5.0


@dataclass(frozen=True)
class Counted:
    """What the broker counts, by queue, and what makes it block its publishers."""

    traffic: Mapping[str, Traffic]
    alarms: Sequence[str]


class NotGiven(Exception):
    """The broker does not have a command, or did not say so in time; it may be given again."""


class Broker:
    """All that the pages ask of the broker; raises InfrastructureUnavailable, AdminUnavailable or NotGiven."""

    def __init__(self, amqp_url: str, management_url: str, vhost: str) -> None:
        self._amqp_url, self._vhost = amqp_url, vhost
        self._admin = BrokerAdmin(management_url)

    async def close(self) -> None:
        await self._admin.__aexit__()

    async def counted(self) -> Counted:
        try:
            async with asyncio.timeout(_FIGURES_S_MAX):
                traffic, alarms = await asyncio.gather(self._admin.traffic(self._vhost), self._admin.alarms())
        except TimeoutError:
            raise AdminUnavailable("RabbitMQ's management API is too slow to answer", "see the broker's load") from None
        return Counted(traffic, alarms)

    async def losses(self) -> Losses:
        return await losses.counted(self._amqp_url)

    async def letters(self, services: Collection[str]) -> Oldest:
        return await dead_letter_reader.oldest(self._amqp_url, services)

    async def settle(self, letters: Sequence[DeadLetter], act: Act, progress: Callable[[int], None]) -> Done:
        return await settling.settle(self._amqp_url, letters, act, progress)

    async def acts(self, latest: int) -> list[audit.Entry]:
        return await audit.read(self._amqp_url, latest=latest)

    async def give(self, command: Command, by: str) -> None:
        """Send a command of the staff, once it is in the audit log who gave it. Returns when the broker has it."""
        envelope = seal(command, id=str(new_id()), source="operations", now=utc_now())
        queue = f"{command.OWNER}.commands"
        entry = audit.Entry(
            utc_now(), by, "command", "", envelope.id, command.TYPE, command.subject, command.OWNER, queue, ""
        )
        bus = RabbitBus(self._amqp_url)
        try:
            async with asyncio.timeout(_GIVE_S_MAX):
                await bus.start()
                await audit.record(bus, [entry])
                [error] = await bus.publish([envelope.parcel()])
        except (BusUnavailable, TimeoutError) as away:
            raise NotGiven("the broker does not answer; nothing is lost, give it again in a moment") from away
        except InfrastructureUnavailable as missing:
            raise NotGiven(f"{missing.reason}; {missing.remedy}") from missing
        finally:
            await bus.stop()
        if error is not None:
            raise NotGiven(f"{error}; `journey topology apply`, then give it again")

"""The switch that makes the mail server unavailable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.bus.memory import MemoryBroker, MemoryBus, MemoryStore
from chassis.core.definition import EffectHandler, EffectUnavailable
from chassis.fault_switches import FaultSwitches
from chassis.runtime import Runtime
from journey.admin.registry import shop_topology
from notification_svc.faults import MailServerSwitch
from notification_svc.service import notification_service


async def test_no_mail_is_sent_while_the_mail_server_is_unavailable() -> None:
    sent: list[str] = []

    @asynccontextmanager
    async def effects(runtime: Runtime) -> AsyncIterator[EffectHandler[Any, Any]]:
        async def send(effect: Any, first_asked: datetime) -> str:
            sent.append(effect)
            return "sent"

        yield send

    mail_server = MailServerSwitch()
    switches = FaultSwitches([mail_server.fault])
    bus = MemoryBus(MemoryBroker(shop_topology()), "notification_svc")
    runtime = Runtime(notification_service(), bus, MemoryStore())
    async with mail_server.covers(effects)(runtime) as perform:
        await switches.turn_on("mail-server-away")
        with pytest.raises(EffectUnavailable):
            await perform("first", datetime.now(UTC))
        await switches.turn_off("mail-server-away")
        assert await perform("second", datetime.now(UTC)) == "sent"
    assert sent == ["second"]

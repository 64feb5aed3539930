"""Faults that staff turn on for a demonstration, and that turn themselves off. Never for production.

A service has switches only if its setting `journey_allow_faults` is on.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.clock import Clock, utc_now

DURATION_S_MAX = 600.0


@dataclass(frozen=True)
class SwitchableFault:
    """`switch`: causes the fault if called with True, and ends it if called with False."""

    name: str
    description: str
    switch: Callable[[bool], Awaitable[None]]


class FaultSwitches:
    """The faults of one service."""

    def __init__(self, faults: Iterable[SwitchableFault] = (), clock: Clock = utc_now) -> None:
        self.faults = {fault.name: fault for fault in faults}
        self._clock = clock
        self._ends_at: dict[str, datetime] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}

    def add(self, fault: SwitchableFault) -> None:
        self.faults[fault.name] = fault

    def ends_at(self, name: str) -> datetime | None:
        """When the fault ends by itself; None if it is off."""
        return self._ends_at.get(name)

    async def turn_on(self, name: str, for_s: float = DURATION_S_MAX) -> None:
        """Turn it on for this long, at most DURATION_S_MAX; from now, if it is on already.

        Raises KeyError if there is no such fault.
        """
        fault = self.faults[name]
        for_s = min(for_s, DURATION_S_MAX)
        self._cancel_timer(name)
        self._ends_at[name] = self._clock() + timedelta(seconds=for_s)
        self._timers[name] = asyncio.create_task(self._end_after(for_s, fault), name=f"end of {name}")
        await fault.switch(True)

    async def turn_off(self, name: str) -> None:
        """Raises KeyError if there is no such fault."""
        fault = self.faults[name]
        self._cancel_timer(name)
        await self._end(fault)

    async def close(self) -> None:
        """Forget the timers; the faults stay as they are."""
        timers = list(self._timers.values())
        self._timers.clear()
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)

    async def _end_after(self, for_s: float, fault: SwitchableFault) -> None:
        await asyncio.sleep(for_s)
        del self._timers[fault.name]  # so that nothing cancels the call below
        await self._end(fault)

    async def _end(self, fault: SwitchableFault) -> None:
        if self._ends_at.pop(fault.name, None) is not None:
            await fault.switch(False)

    def _cancel_timer(self, name: str) -> None:
        with contextlib.suppress(KeyError):
            self._timers.pop(name).cancel()

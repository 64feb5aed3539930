"""The fault switches of all services: what they offer, what is on, and turning them on and off.

For demonstrations only. It does not exist unless the setting `journey_allow_faults` is on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx
from pydantic import TypeAdapter, ValidationError

from chassis import telemetry
from chassis.web.fault_api import FaultDuration, FaultView
from operations.monitoring.service_processes import Processes, ServiceProcess

_REFRESH_S = 2.0
_VIEWS = TypeAdapter(list[FaultView])


class FaultNotSwitched(Exception):
    """A process of the service did not do it; the reason is for staff."""


@dataclass(frozen=True)
class ServiceFault:
    """A fault of one service. `ends_at`: when it ends by itself; None if it is off."""

    service: str
    name: str
    description: str
    ends_at: datetime | None


@dataclass(frozen=True)
class FaultStates:
    """What the services offer. `unknown`: the services that did not respond."""

    faults: tuple[ServiceFault, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def active(self) -> list[ServiceFault]:
        return [fault for fault in self.faults if fault.ends_at is not None]


class FaultPanel:
    """`states` is refreshed for all viewers, as the poller's snapshot is."""

    def __init__(self, http: httpx.AsyncClient, processes: Processes) -> None:
        """`http`: sends each request to the address that it names, and to no other one."""
        self._http = http
        self._processes = processes
        self.states = FaultStates()

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            try:
                await self.refresh()
            except Exception:
                telemetry.log.exception("could not read the fault switches")
            await asyncio.sleep(_REFRESH_S)

    async def refresh(self) -> None:
        services = await self._processes()
        found = await asyncio.gather(*(self._of_service(*each) for each in services.items()))
        states = dict(zip(services, found, strict=True))
        self.states = FaultStates(
            tuple(fault for faults in found if faults for fault in faults),
            tuple(name for name, faults in states.items() if faults is None),
        )

    def find(self, service: str, name: str) -> ServiceFault | None:
        return next(
            (each for each in self.states.faults if (each.service, each.name) == (service, name)), None
        )

    async def switch(self, fault: ServiceFault, on: bool) -> None:
        """Turn it on for its usual time, or off, in all processes of the service.

        Raises FaultNotSwitched if one of them did not do it; the others did.
        """
        processes = (await self._processes())[fault.service]
        failures = await asyncio.gather(*(self._switch(process, fault, on) for process in processes))
        await self.refresh()
        if failure := next(filter(None, failures), ""):
            raise FaultNotSwitched(failure)

    async def _switch(self, process: ServiceProcess, fault: ServiceFault, on: bool) -> str:
        """In one process. Returns why it did not do it; empty if it did."""
        method, body = ("PUT", FaultDuration().model_dump()) if on else ("DELETE", None)
        try:
            response = await process.request(self._http, method, f"/faults/{fault.name}", json=body)
        except httpx.HTTPError:
            return f"{fault.service} does not respond"
        return "" if response.is_success else f"{fault.service} responds with {response.status_code}"

    async def _of_service(
        self, service: str, processes: Sequence[ServiceProcess]
    ) -> list[ServiceFault] | None:
        """The faults of all processes, once each: on if one process has it on. None without a response."""
        found: dict[str, ServiceFault] = {}
        for process in processes:
            try:
                response = await process.request(self._http, "GET", "/faults")
                views = [] if response.status_code == 404 else _VIEWS.validate_json(response.content)
            except (httpx.HTTPError, ValidationError):
                return None
            for view in views:
                fault = ServiceFault(service, view.name, view.description, view.ends_at)
                if fault.name not in found or fault.ends_at is not None:
                    found[fault.name] = fault
        return list(found.values())

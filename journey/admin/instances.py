"""Instances of a service: the names of their processes, how many there are,
and which one to send requests to.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import httpx

from journey.admin.diagnosis.snapshot import look_at
from journey.admin.endpoints import GATEWAY
from journey.admin.registry import SERVICES

MOST = 20
# The pages of the staff need one instance only.
SCALABLE = (*SERVICES, GATEWAY)


def process_of(service: str, instance: int) -> str:
    return service if instance == 1 else f"{service}.{instance}"


def service_of(process: str) -> str:
    return process.partition(".")[0]


def number_of(process: str) -> int:
    return int(process.partition(".")[2] or 1)


def scalable(processes: Iterable[str]) -> list[str]:
    """The instances of services and gateway, sorted by service and number; other processes are left out."""
    found = [process for process in processes if service_of(process) in SCALABLE]
    return sorted(found, key=lambda process: (SCALABLE.index(service_of(process)), number_of(process)))


def of_services(processes: Iterable[str]) -> list[str]:
    """Those of services alone."""
    return [process for process in scalable(processes) if service_of(process) in SERVICES]


def counts(processes: Iterable[str]) -> dict[str, int]:
    """Service -> number of instances."""
    found = Counter(service_of(process) for process in scalable(processes))
    return {service: found[service] for service in SCALABLE if service in found}


async def responding(http: httpx.AsyncClient, addresses: Mapping[str, str]) -> dict[str, str]:
    """One address per service: of several instances, one that is ready. All instances share one database."""
    several = {service for service, count in counts(addresses).items() if count > 1}
    asked = {process: where for process, where in addresses.items() if service_of(process) in several}
    best = await look_at(http, asked) if asked else {}
    single = {process: where for process, where in addresses.items() if service_of(process) not in several}
    return single | {service: asked[process] for service, process in best.items()}

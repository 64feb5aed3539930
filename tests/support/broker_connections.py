"""Connections of a running shop to the broker."""

from journey.devenv.process_shop import ProcessShop
from tests.support.eventually import until

PUBLISHER_AND_CONSUMER = 2


async def reconnected(system: ProcessShop, service: str, *, within_s: float) -> None:
    """Close the service's connections, and wait until it has made new ones."""
    async with system.admin as admin:
        before = {each["name"] for each in await admin.ask("GET", f"connections/username/{service}")}
        await admin.disconnect(service)
        await until(lambda: _connected_again(system, service, before), within_s=within_s)


async def _connected_again(system: ProcessShop, service: str, before: set[str]) -> bool:
    async with system.admin as admin:
        now = await admin.ask("GET", f"connections/username/{service}", missing_ok=True) or []
    return len({each["name"] for each in now} - before) >= PUBLISHER_AND_CONSUMER

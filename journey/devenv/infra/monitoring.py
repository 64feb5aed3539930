"""Prometheus and Alertmanager for the tests of alerts: installed ones, or Debian's, which are installed if
permitted.
"""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.devenv.infra.commands import apt_install
from journey.devenv.infra.lock import installing

PACKAGES = ("prometheus", "prometheus-alertmanager")
REMEDY = (
    f"install Prometheus and Alertmanager with promtool and amtool (apt-get install {' '.join(PACKAGES)})"
)


@dataclass(frozen=True)
class MonitoringPrograms:
    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path


def monitoring_programs(log: Log) -> MonitoringPrograms:
    """Those in PATH, else apt's. Raises InfrastructureUnavailable with a remedy.

    Call it outside of a running event loop, e.g. in a session fixture.
    """
    if (found := find_monitoring_programs()) is not None:
        return found
    asyncio.run(_install(log))
    if (found := find_monitoring_programs()) is None:
        raise InfrastructureUnavailable(
            f"{' and '.join(PACKAGES)} are installed, but one of their programs is not in PATH", REMEDY
        )
    return found


async def _install(log: Log) -> None:
    async with installing():
        if find_monitoring_programs() is None:
            await apt_install(*PACKAGES, log=log, otherwise=REMEDY)


def find_monitoring_programs() -> MonitoringPrograms | None:
    """None if one of the four is missing."""
    # Debian prefixes the name of Alertmanager
    alertmanager = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
    found = [shutil.which("prometheus"), shutil.which("promtool"), alertmanager, shutil.which("amtool")]
    paths = [Path(program) for program in found if program is not None]
    return MonitoringPrograms(*paths) if len(paths) == len(found) else None

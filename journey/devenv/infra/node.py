"""Node and npm for the tests of examples/node: installed ones, or Debian's."""

import asyncio
import shutil
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.devenv.infra.commands import apt_install, run
from journey.devenv.infra.lock import installing

PROGRAMS = {"node": "nodejs", "npm": "npm"}  # program -> its Debian package
REMEDY = "install Node 18 or newer with npm (apt-get install nodejs npm), both in PATH"
_INSTALL_S_MAX = 300.0


def node(log: Log) -> Path:
    """The path of Node; npm is in PATH, too.

    Raises InfrastructureUnavailable. Call it outside of an event loop.
    """
    if _missing():
        asyncio.run(_install(log))
    if missing := _missing():
        raise InfrastructureUnavailable(
            f"{' and '.join(missing)} not found in PATH after the installation", REMEDY
        )
    return Path(str(shutil.which("node")))


async def install_packages(project: Path) -> None:
    """Install exactly the versions of the project's lock file, into node_modules beside it."""
    command: list[str | Path] = [
        "npm",
        "ci",
        "--prefix",
        project,
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
    ]
    code, output = await run(command, timeout_s=_INSTALL_S_MAX)
    if code != 0:
        raise InfrastructureUnavailable(
            f"npm could not install the packages of {project.name}: {output.strip()[-800:]}",
            "check that npm reaches its registry: `npm ping`",
        )


def _missing() -> list[str]:
    return [package for program, package in PROGRAMS.items() if shutil.which(program) is None]


async def _install(log: Log) -> None:
    async with installing():
        if missing := _missing():
            await apt_install(*missing, log=log, otherwise=REMEDY)

"""The Node and npm that the example in examples/node is tried with: those that are here, or Debian's, installed."""

import asyncio
import shutil
from pathlib import Path

from journey.infra.commands import Log, apt_install, run
from journey.infra.lock import installing
from journey.infra.model import InfrastructureUnavailable

PROGRAMS = {"node": "nodejs", "npm": "npm"}  # each with the package that brings it
REMEDY = "install Node 18 or newer with npm (apt-get install nodejs npm), so that both are in PATH"
_INSTALL_S_MAX = 300.0


def node(say: Log) -> Path:
    """Node, with npm beside it in PATH; raises InfrastructureUnavailable. Call it outside of a running loop."""
    if _missing():
        asyncio.run(_install(say))
    if missing := _missing():
        raise InfrastructureUnavailable(f"{' and '.join(missing)} not found in PATH after the installation", REMEDY)
    return Path(str(shutil.which("node")))


async def install_packages(project: Path) -> None:
    """What the project's lock file names, exactly. It goes to node_modules, beside the lock file."""
    command: list[str | Path] = ["npm", "ci", "--prefix", project, "--no-audit", "--no-fund", "--ignore-scripts"]
    code, output = await run(command, timeout_s=_INSTALL_S_MAX)
    if code != 0:
        raise InfrastructureUnavailable(
            f"npm could not install the packages of {project.name}: {output.strip()[-800:]}",
            "see that npm reaches its registry: `npm ping`",
        )


def _missing() -> list[str]:
    return [package for program, package in PROGRAMS.items() if shutil.which(program) is None]


async def _install(say: Log) -> None:
    async with installing():
        if missing := _missing():
            await apt_install(*missing, say=say, otherwise=REMEDY)

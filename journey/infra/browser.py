"""The browser that the pages are tried in: the one that is here, or Debian's, installed where that is allowed."""

import asyncio
import os
import shutil
from pathlib import Path

from journey.infra.commands import Log, apt_install
from journey.infra.lock import installing
from journey.infra.model import InfrastructureUnavailable

# The same browser without its windows comes first: for the same pages it takes half the time of the processor.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGE, FONTS = NAMES[0], "fonts-dejavu-core"  # it recommends fonts only, and shows no letter without any
REMEDY = f"install Chromium (apt-get install {PACKAGE}), or name a browser of that kind in CHROMIUM"


def chromium(say: Log) -> Path:
    """CHROMIUM, else the first of the usual names in PATH, else apt's; raises InfrastructureUnavailable.

    To be called outside of a running loop, as a fixture of a whole test session is.
    """
    if (found := find_chromium()) is not None:
        return found
    asyncio.run(_install(say))
    if (found := find_chromium()) is None:
        raise InfrastructureUnavailable(f"{PACKAGE} is installed, but no {' or '.join(NAMES)} is in PATH", REMEDY)
    return found


async def _install(say: Log) -> None:
    async with installing():
        if find_chromium() is None:
            await apt_install(PACKAGE, FONTS, say=say, otherwise=REMEDY)


def find_chromium() -> Path | None:
    """What is here already. A CHROMIUM that names no program is a mistake, not a reason to look on."""
    if named := os.environ.get("CHROMIUM"):
        if shutil.which(named) is None:
            raise InfrastructureUnavailable(f"CHROMIUM names no program: {named}", "correct it, or unset it")
        return Path(str(shutil.which(named)))
    return next((Path(path) for name in NAMES if (path := shutil.which(name))), None)

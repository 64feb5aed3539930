"""The browser for the page tests: an installed one, or Debian's, which is installed if permitted."""

import asyncio
import os
import shutil
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.devenv.infra.commands import apt_install
from journey.devenv.infra.lock import installing

# The headless shell comes first: it needs half the CPU time for the same pages.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# the package only recommends fonts, but shows no text without any
PACKAGE = NAMES[0]
FONTS = "fonts-dejavu-core"
REMEDY = f"install Chromium (apt-get install {PACKAGE}), or name a browser of that kind in CHROMIUM"


def chromium(log: Log) -> Path:
    """CHROMIUM, else the first of NAMES in PATH, else apt's. Raises InfrastructureUnavailable.

    Call it outside of a running event loop, e.g. in a session fixture.
    """
    if (found := find_chromium()) is not None:
        return found
    asyncio.run(_install(log))
    if (found := find_chromium()) is None:
        raise InfrastructureUnavailable(
            f"{PACKAGE} is installed, but no {' or '.join(NAMES)} is in PATH", REMEDY
        )
    return found


async def _install(log: Log) -> None:
    async with installing():
        if find_chromium() is None:
            await apt_install(PACKAGE, FONTS, log=log, otherwise=REMEDY)


def find_chromium() -> Path | None:
    """An installed browser. A CHROMIUM that is no program raises InfrastructureUnavailable."""
    if named := os.environ.get("CHROMIUM"):
        if shutil.which(named) is None:
            raise InfrastructureUnavailable(f"CHROMIUM is not a program: {named}", "correct it, or unset it")
        return Path(str(shutil.which(named)))
    return next((Path(path) for name in NAMES if (path := shutil.which(name))), None)

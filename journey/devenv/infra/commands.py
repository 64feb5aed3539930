"""Runs short commands with a time limit, and installs Debian packages if permitted."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log

APT_TIMEOUT_S = 600.0

# apt would start the server as soon as it is unpacked, on the default ports and with the default password.
# The policy prevents that during the installation; disabling the unit prevents it at the next boot.
APT_SCRIPT = """
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 143' HUP INT TERM
  printf '#!/bin/sh\\nexit 101\\n' >"$policy" && chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo 'apt-get update failed; trying with the existing package lists'
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" || exit 1
if [ -d /run/systemd/system ]; then
  for package in "$@"; do systemctl disable --quiet "$package.service" 2>/dev/null || true; done
fi
"""


async def run(
    command: Sequence[str | Path], *, timeout_s: float, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and combined output. 127: the command does not exist; 124: it took too long."""
    try:
        child = await asyncio.create_subprocess_exec(
            *(str(argument) for argument in command),
            env=None if env is None else dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await child.communicate()
    except TimeoutError:
        return 124, f"{command[0]} took more than {timeout_s:.0f} s"
    finally:
        if child.returncode is None:
            await _end_group(child)
    return child.returncode or 0, output.decode(errors="replace")


async def _end_group(child: asyncio.subprocess.Process) -> None:
    """SIGTERM first: a running apt can still clean up."""
    for how, grace_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, how)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await child.wait()
                return


async def apt_install(*packages: str, log: Log, otherwise: str) -> None:
    """Install packages as root, or through sudo without a password.

    `otherwise`: the remedy if that is not possible.
    """
    wanted = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise InfrastructureUnavailable(f"{wanted} is missing, and there is no apt-get here", otherwise)
    become_root: list[str] = []
    if os.geteuid() != 0:
        become_root = ["sudo", "-n"]
        code, _ = await run([*become_root, "true"], timeout_s=10)
        if code != 0:
            raise InfrastructureUnavailable(
                f"{wanted} is missing, and this user cannot install packages without a password",
                f"sudo apt-get install --no-install-recommends {wanted}\n  or: {otherwise}",
            )
    log(f"installing {wanted} with apt-get")
    script = [*become_root, "sh", "-c", APT_SCRIPT, "apt", *packages]
    code, output = await run(script, timeout_s=APT_TIMEOUT_S)
    if code != 0:
        last = "\n".join(output.splitlines()[-10:])
        raise InfrastructureUnavailable(f"apt-get could not install {wanted}:\n{last}", otherwise)

"""Docker commands of the tests: compose projects that are removed afterwards, and containers of a service."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from journey.devenv.compose_shop import ComposeShop
from journey.devenv.infra.commands import run
from journey.devenv.process_shop import ROOT

BUILD_S_MAX = 900.0
COMMAND_S_MAX = 300.0


def is_short() -> bool:
    """Whether the tests that take longest are left out."""
    return os.environ["COMPOSE_TESTS"] == "short"


async def docker(*arguments: str, timeout_s: float = COMMAND_S_MAX) -> str:
    """The output of a `docker` command, which must succeed."""
    code, output = await run(["docker", *arguments], timeout_s=timeout_s)
    assert code == 0, f"docker {' '.join(arguments[:3])}: {output[-2000:]}"
    return output.strip()


async def compose(*arguments: str) -> str:
    return await docker("compose", "--project-directory", str(ROOT), *arguments)


async def containers(service: str) -> list[str]:
    """The ids of the running containers of a service."""
    return (await compose("ps", "--quiet", service)).split()


async def inspected(name: str) -> dict[str, Any]:
    """The output of `docker inspect` for a container or an image."""
    [found] = json.loads(await docker("inspect", name))
    assert isinstance(found, dict)
    return found


@asynccontextmanager
async def compose_project(state_dir: Path, name: str, **settings: str) -> AsyncIterator[ComposeShop]:
    """A shop that is not started yet. `settings`: environment variables of compose."""
    own = {"COMPOSE_PROJECT_NAME": f"journey-{name}-{os.getpid()}", **settings}
    with mock.patch.dict(os.environ, own):
        try:
            yield ComposeShop(state_dir)
        finally:
            await _show_unhealthy()
            everything = {"COMPOSE_PROFILES": "*"}
            with mock.patch.dict(os.environ, everything):
                await compose("down", "--volumes", "--timeout", "28")


async def _show_unhealthy() -> None:
    """The last lines of containers that are not healthy, for the report of a failed test."""
    for line in (await compose("ps", "--all", "--format", "json")).splitlines():
        container: Mapping[str, str] = json.loads(line)
        if container["State"] != "running" or container.get("Health") not in ("healthy", ""):
            print(f"--- {container['Name']}: {container['Status']}")
            print(await docker("logs", "--tail", "30", container["Name"]))

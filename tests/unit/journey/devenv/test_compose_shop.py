"""What `docker compose` says and with which code it ends, by a `docker` of the test."""

import os
from pathlib import Path

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.compose_shop import ComposeShop

TRACEBACK = "echo 'Traceback (most recent call last):' >&2; echo 'KeyError: mistake' >&2; exit 1"


@pytest.fixture
def shop(tmp_path: Path) -> ComposeShop:
    return ComposeShop(tmp_path)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program, to be written by the test as a script of the shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program = tmp_path / "docker"
    program.touch(mode=0o755)
    return program


@pytest.mark.parametrize(
    ("script", "differences"),
    [
        ("exit 0", []),
        ("echo 'level=warning msg=unset' >&2; exit 0", []),
        ("echo 'level=warning msg=unset' >&2; echo 'user x is missing'; exit 1", ["user x is missing"]),
    ],
)
async def test_differences_are_what_the_program_prints(
    shop: ComposeShop, docker: Path, script: str, differences: list[str]
) -> None:
    docker.write_text(f"#!/bin/sh\n{script}\n")
    assert await shop.database_plan() == differences


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (TRACEBACK, "KeyError: mistake"),
        ("echo 'service \"operator\" is not running' >&2; exit 1", "is not running"),
        ("echo 'error: MongoDB does not respond' >&2; exit 2", "MongoDB does not respond"),
        ("echo 'ValueError: mistake' >&2; exit 70", "ValueError: mistake"),
    ],
    ids=["a traceback", "no container", "no server", "an unexpected error"],
)
async def test_a_failure_is_not_shown_as_a_difference(
    shop: ComposeShop, docker: Path, script: str, cause: str
) -> None:
    docker.write_text(f"#!/bin/sh\n{script}\n")
    for command in (shop.database_plan, shop.apply_database):
        with pytest.raises(InfrastructureUnavailable, match="docker compose exec failed") as failed:
            await command()
        assert cause in failed.value.reason


async def test_a_warning_of_compose_is_no_part_of_an_output(shop: ComposeShop, docker: Path) -> None:
    """For example of a password that it reads from a container."""
    docker.write_text("#!/bin/sh\necho 'level=warning msg=unset' >&2; echo output\n")
    assert await shop._compose("exec", "operator", "cat", "/credentials/client") == "output\n"

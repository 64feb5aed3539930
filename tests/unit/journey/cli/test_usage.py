"""Wrong use of `journey` prints an error with the remedy, and sets an exit code; never a traceback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from journey.cli.app import app
from tests.support.cli_runner import run_journey
from tests.system.test_operator_errors import COMMANDS

MISUSED, UNAVAILABLE = 2, 3
STAFF = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("place", "TEA-GREEN"), MISUSED, "SKU=QUANTITY"),
        (("place", "TEA-GREEN=0"), MISUSED, "quantity"),
        (("place", "tea=1"), MISUSED, "sku"),
        (("place", "TEA-GREEN=1"), UNAVAILABLE, "journey up"),
        (("watch", "not-an-id"), MISUSED, "UUID"),
        (("stock",), MISUSED, "journey up"),
        (("orders",), MISUSED, "journey up"),
        (("orders", "--status", "lost"), MISUSED, "placed"),
        (("orders", "--from", "yesterday"), MISUSED, "%Y-%m-%d"),
        (("doctor",), UNAVAILABLE, "journey up"),
        (("topology", "plan"), UNAVAILABLE, "journey up"),
        (("topology", "apply", "--drain"), MISUSED, "--remove --drain"),
        (("bench", "--rounds", "0"), MISUSED, "rounds"),
        (("receive", "TEA-GREEN", "-5"), MISUSED, "-5"),
        (("correct", "TEA-GREEN", "--by=0", "--reason=count"), MISUSED, "change"),
        (("correct", "TEA-GREEN", "--by=1", "--reason=theft"), MISUSED, "theft"),
        (("stock", "--low", "101"), MISUSED, "low"),
        (("attention", "retry", STAFF), MISUSED, "--by"),
        (("refund", STAFF, "--amount", "1"), MISUSED, "--by"),
        (("refund", STAFF, "--by", STAFF), MISUSED, "--to-stock"),
        (("attention", "show", "01890a5d-ac96-774b-bcce-b302099a8057"), MISUSED, "journey up"),
        (("attention", "list"), MISUSED, "journey up"),
        (("attention", "list", "--limit", "0"), MISUSED, "limit"),
        (("staff", "grant", "ada@example.org"), MISUSED, "UUID"),
        (("staff", "grant", "01890a5d-ac96-774b-bcce-b302099a8057"), UNAVAILABLE, "journey up"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_reported_with_the_remedy(
    tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    ended = run_journey(tmp_path, *arguments)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert expected in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_stopping_what_does_not_run_is_no_failure(tmp_path: Path) -> None:
    ended = run_journey(tmp_path, "down")
    assert ended.returncode == 0 and "nothing" in ended.stdout


_COMMANDS = ["", "up", "demo", "place", "watch", "doctor", "bench", "topology apply", "staff revoke"]


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    ended = run_journey(tmp_path, *command.split(), "--help")
    assert ended.returncode == 0 and "Usage" in ended.stdout


def test_the_topology_can_be_exported_without_a_broker(tmp_path: Path) -> None:
    ended = run_journey(tmp_path, "topology", "export")
    assert ended.returncode == 0 and '"x-queue-type": "quorum"' in ended.stdout


def test_every_command_is_tried_under_faults() -> None:
    """Add new commands to the table.

    `scale` starts services of a running shop; the other two need nothing else.
    """

    def leaves(command: Any, *arguments: str) -> Iterator[str]:
        if not hasattr(command, "commands"):
            yield " ".join(arguments)
        for name, each in getattr(command, "commands", {}).items():
            yield from leaves(each, *arguments, name)

    tried = {command.partition(" -")[0].partition(" for ")[0] for command in COMMANDS}
    assert set(leaves(get_command(app))) - tried == {"down", "topology export"}, (
        "test_commands_without_the_shop.py tries these"
    )

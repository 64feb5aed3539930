"""Bad use of `journey` gets a sentence, the remedy, and an exit code; never a traceback."""

from pathlib import Path

import pytest

from tests.typed import journey

MISUSED, UNAVAILABLE = 2, 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("place", "TEA-GREEN"), MISUSED, "SKU=QUANTITY"),
        (("place", "TEA-GREEN=0"), MISUSED, "quantity"),
        (("place", "tea=1"), MISUSED, "sku"),
        (("place", "TEA-GREEN=1"), UNAVAILABLE, "journey up"),
        (("watch", "not-an-id"), MISUSED, "UUID"),
        (("stock",), MISUSED, "journey up"),
        (("doctor",), UNAVAILABLE, "journey up"),
        (("topology", "plan"), UNAVAILABLE, "journey up"),
        (("bench", "--rounds", "0"), MISUSED, "rounds"),
        (("receive", "TEA-GREEN", "-5"), MISUSED, "-5"),
        (("staff", "grant", "ada@example.org"), MISUSED, "UUID"),
        (("staff", "grant", "01890a5d-ac96-774b-bcce-b302099a8057"), UNAVAILABLE, "journey up"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_use_is_told_what_to_do(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ended = journey(tmp_path, *words)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_stopping_what_does_not_run_is_no_failure(tmp_path: Path) -> None:
    ended = journey(tmp_path, "down")
    assert ended.returncode == 0 and "nothing" in ended.stdout


_COMMANDS = ["", "up", "demo", "place", "watch", "doctor", "bench", "topology apply", "staff revoke"]


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    ended = journey(tmp_path, *command.split(), "--help")
    assert ended.returncode == 0 and "Usage" in ended.stdout


def test_the_topology_can_be_exported_without_a_broker(tmp_path: Path) -> None:
    ended = journey(tmp_path, "topology", "export")
    assert ended.returncode == 0 and '"x-queue-type": "quorum"' in ended.stdout

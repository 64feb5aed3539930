"""journey explain: usage errors, and durations as text."""

from pathlib import Path

import pytest

from tests.support.cli_runner import run_journey
from tests.support.stuck_order_fixtures import ID


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("explain", "--help"), 0, "Usage"),
        (("stuck", "--help"), 0, "Usage"),
        (("explain", "not-an-id"), 2, "UUID"),
        (("explain", ID), 2, "journey up"),
        (("stuck", "--older-than", "soon"), 2, "30s, 5m, 2h or 1d"),
        (("stuck",), 2, "journey up"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_reported_with_the_remedy(
    tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    ended = run_journey(tmp_path, *arguments)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert expected in ended.stdout + ended.stderr and "Traceback" not in ended.stderr

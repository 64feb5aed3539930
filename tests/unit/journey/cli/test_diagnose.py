"""journey explain: bad use, and durations in words."""

from datetime import timedelta
from pathlib import Path

import pytest

from journey.admin.diagnosis.pending_messages import span
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


@pytest.mark.parametrize(
    ("passed", "expected"),
    [(-5, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_durations_are_printed_in_their_largest_unit(passed: int, expected: str) -> None:
    assert span(timedelta(seconds=passed)) == expected

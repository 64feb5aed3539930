"""journey explain: bad use, and durations in words."""

from datetime import timedelta
from pathlib import Path

import pytest

from journey.admin.diagnosis.pending_messages import span
from tests.support.cli_runner import run_journey
from tests.support.stuck_order_fixtures import ID


@pytest.mark.parametrize(
    ("words", "code", "said"),
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
def test_bad_use_is_told_what_to_do(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    ended = run_journey(tmp_path, *words)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert said in ended.stdout + ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("passed", "said"),
    [(-5, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_a_length_of_time_is_said_in_its_largest_unit(passed: int, said: str) -> None:
    assert span(timedelta(seconds=passed)) == said

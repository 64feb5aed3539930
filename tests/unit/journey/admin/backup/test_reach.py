"""When the journal has what the restore of a backup reads."""

from datetime import UTC, datetime, timedelta

import pytest

from journey.admin.backup.recovery import MARGIN, Reach

TAKEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("oldest", "complete", "covers"),
    [
        pytest.param(TAKEN - MARGIN, False, True, id="begins before the margin"),
        pytest.param(TAKEN - MARGIN + MINUTE, False, False, id="begins within the margin"),
        pytest.param(TAKEN - MINUTE, True, True, id="a young shop"),
        pytest.param(TAKEN + MINUTE, True, False, id="re-created after the backup"),
        pytest.param(TAKEN + MINUTE, False, False, id="dropped its older events"),
        pytest.param(None, True, False, id="re-created and empty"),
    ],
)
def test_a_journal_covers_a_backup(oldest: datetime | None, complete: bool, covers: bool) -> None:
    assert Reach(oldest, complete).covers(TAKEN) is covers

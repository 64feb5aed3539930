"""The progress of a long command, on a terminal and in a log."""

import asyncio
import io

import pytest
from rich.console import Console
from rich.text import Text

from journey.cli.progress import EarlyResults, ProgressLine
from tests.support.eventually import until


def test_log_progress_is_occasional_and_separate_from_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("journey.cli.progress.time.monotonic", lambda: now)
    results = io.StringIO()
    with ProgressLine(Console(file=results), "comparing") as how_far:
        for now in range(12):
            how_far.report(f"{now} so far")
    assert results.getvalue() == ""
    assert capsys.readouterr().err.splitlines() == ["comparing: 2 so far", "comparing: 7 so far"]


def test_on_a_terminal_one_line_changes() -> None:
    terminal = io.StringIO()
    with ProgressLine(Console(file=terminal, force_terminal=True), "comparing") as how_far:
        how_far.report("12 so far")
    assert "comparing" in terminal.getvalue()


async def test_only_a_long_command_prints_results_early() -> None:
    results = io.StringIO()
    with EarlyResults(Console(file=results), after_s=0.0) as early:
        early.report(Text("first"))
        assert results.getvalue() == ""
        await until(results.getvalue)
        early.report(Text("second"))
    assert results.getvalue() == "first\nsecond\n"
    with EarlyResults(Console(file=results), after_s=0.0) as early:
        early.report(Text("third"))
    await asyncio.sleep(0.01)
    assert "third" not in results.getvalue()

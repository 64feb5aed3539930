"""`journey bench`: its options."""

import pytest
from typer.testing import CliRunner

from journey.cli import app as cli
from journey.cli import benchmarks
from journey.cli.console import MISUSED


def test_bench_slows_the_provider_of_its_own_shop_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "recorded", lambda _: object())
    ended = CliRunner().invoke(cli.app, ["bench", "--provider-ms", "200"])
    assert ended.exit_code == MISUSED
    assert "journey down" in ended.output

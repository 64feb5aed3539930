"""Wrong use of `journey journal`, `replay` and `backfill`: an error with the remedy, an exit code,
no traceback.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chassis.messaging.envelope import WireMessage
from journey.admin.broker.management import Limit
from journey.admin.endpoints import ShopEndpoints
from journey.admin.event_log.backfill import BATCH, WAITING_MAX, Backlog, QueueLimits
from journey.admin.event_log.journal import Entry
from journey.admin.registry import SERVICES
from journey.cli.app import app
from journey.cli.console import MISUSED, UNAVAILABLE, UsageError
from journey.cli.event_log import _print_json, _print_line, _show_left_out, moment
from journey.devenv.infra.ports import free_ports
from tests.support.cli_runner import run_journey

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOWHERE = Limit(None, None)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A shop that was started once; its broker is gone."""
    amqp, management = free_ports(2)
    endpoints = ShopEndpoints(
        kind="local",
        vhost="journey",
        amqp_base=f"amqp://127.0.0.1:{amqp}",
        passwords={"operator": "secret"},
        http=dict.fromkeys(SERVICES, "http://127.0.0.1:1"),
        rabbitmq_ui=f"http://127.0.0.1:{management}",
        mailbox_url="",
    )
    (tmp_path / "system.json").write_text(json.dumps(endpoints.__dict__))
    yield tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("backfill", "nobody_svc", "--since", "1h"), MISUSED, "notification_svc"),
        (("backfill", "order_svc"), MISUSED, "--since"),
        (("backfill", "order_svc", "--since", "yesterday"), MISUSED, "2026-01-31T12:00"),
        (("backfill", "order_svc", "--since", "1h"), UNAVAILABLE, "start the broker"),
        (("journal", "--type", "order.flown.v1"), MISUSED, "not a wire type"),
        (("journal",), UNAVAILABLE, "check that it is running"),
        (("replay", "01900000-0000-7000-8000-000000000001"), UNAVAILABLE, "check that it is running"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_reported_with_the_remedy(
    home: Path, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    ended = run_journey(home, *arguments)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert expected in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["journal", "replay", "backfill"])
def test_every_command_explains_itself(command: str) -> None:
    assert "Usage" in CliRunner().invoke(app, [command, "--help"]).stdout


def test_without_a_shop_the_remedy_is_printed(tmp_path: Path) -> None:
    ended = run_journey(tmp_path, "backfill", "order_svc", "--since", "1h")
    assert ended.returncode == MISUSED and "journey up" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30s", NOON - timedelta(seconds=30)),
        ("2h", NOON - timedelta(hours=2)),
        ("3d", NOON - timedelta(days=3)),
        ("2026-01-31T11:00", NOON - timedelta(hours=1)),
        ("2026-01-31T12:30+01:00", NOON - timedelta(minutes=30)),
        ("2026-01-30", NOON - timedelta(hours=36)),
    ],
)
def test_times_and_durations_are_parsed(text: str, meant: datetime) -> None:
    assert moment(text, lambda: NOON) == meant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:01", "in the future"),
        ("1x", "2026-01-31T12:00"),
        ("9999999d", "10m, 2h"),
        ("-2h", "10m, 2h"),
    ],
)
def test_invalid_and_future_times_are_rejected(text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        moment(text, lambda: NOON)


@pytest.mark.parametrize(
    ("bounds", "waiting", "room"),
    [
        (QueueLimits(NOWHERE, NOWHERE), Backlog(0, 0, 0), BATCH),
        (QueueLimits(NOWHERE, NOWHERE), Backlog(WAITING_MAX, 0, 0), 0),
        (QueueLimits(Limit(100, None), NOWHERE), Backlog(20, 0, 400), 30),
        (QueueLimits(Limit(None, 100_000), NOWHERE), Backlog(20, 0, 400), 30),
        (QueueLimits(NOWHERE, Limit(1_000, None)), Backlog(20, 30, 400), 50),
        (QueueLimits(NOWHERE, Limit(600, None)), Backlog(0, 0, 400), -100),
    ],
)
def test_a_backfill_uses_half_of_each_queue_limit(bounds: QueueLimits, waiting: Backlog, room: int) -> None:
    assert bounds.room(waiting, largest=1_000) == room


HOSTILE = "\x1b[2J\n[red]" + "7" * 5_000


@pytest.mark.parametrize("show", [_print_line, _print_json])
def test_an_event_is_shown_in_one_short_line(
    capsys: pytest.CaptureFixture[str], show: Callable[[Entry], None]
) -> None:
    headers = {"subject": HOSTILE, "time": HOSTILE, HOSTILE: HOSTILE}
    show(Entry(7, WireMessage("events", HOSTILE, b"{}", HOSTILE, HOSTILE, HOSTILE, HOSTILE, headers)))
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1 and "\x1b" not in shown
    assert len(shown) < 7_000 and "777" in shown and "[red]" in shown


def test_omitted_messages_are_reported_as_plain_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _show_left_out({HOSTILE: 3}, "events skipped")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "[red]" in shown and len(shown) < 1_500

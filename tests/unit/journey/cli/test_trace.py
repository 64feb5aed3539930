"""`journey trace`: the diagrams as text, its exit codes and errors."""

import json
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from contracts import payments
from journey.admin.diagnosis import explain
from journey.admin.diagnosis.explain import Explanation
from journey.admin.diagnosis.journey_history import JourneyHistory
from journey.admin.diagnosis.sequence import build_sequence
from journey.admin.diagnosis.snapshot import ShopSnapshot
from journey.admin.diagnosis.timeline import build_timeline
from journey.admin.diagnosis.waterfall import Waterfall, build_waterfall
from journey.cli import trace, trace_view
from journey.cli.console import console, wrapped
from journey.cli.diagnose import explain_app
from tests.support.cli_runner import run_journey
from tests.support.history_fixtures import after, confirmed, pending, placed
from tests.support.stuck_order_fixtures import ID

SILENT = ["order_svc", "inventory_svc", "payment_svc", "notification_svc"]


def waterfall_of(history: JourneyHistory, now: float = 1.0) -> Waterfall:
    return build_waterfall(build_timeline(history, pending(history)), history.silent, now=after(now))


def test_a_long_sentence_is_wrapped_in_a_terminal() -> None:
    sentence = f"order {ID} is cancelled (customer); nothing is awaited"
    lines = wrapped(sentence, 60).splitlines()
    assert len(lines) == 2 and " ".join(lines) == sentence
    assert ID in wrapped(sentence, 20).splitlines(), "an id stays whole"
    assert wrapped(sentence, None) == sentence


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("trace", "--help"), 0, "--json"),
        (("trace", "not-an-id"), 2, "UUID"),
        (("trace",), 2, "Missing argument"),
        (("trace", ID), 2, "journey up"),
    ],
    ids=["help", "not an id", "no order", "no shop"],
)
def test_misuse_is_reported_with_the_remedy(
    tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    ended = run_journey(tmp_path, *arguments)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert expected in ended.stdout + ended.stderr and "Traceback" not in ended.stderr


def test_an_order_is_drawn_in_eighty_columns() -> None:
    waterfall = waterfall_of(confirmed().without())
    drawn = [line.plain.rstrip() for line in trace_view.waterfall_lines(waterfall, 80)]
    assert drawn[:4] == [
        "                          0                         +450 ms              +900 ms",
        "order_svc",
        "  1 PlaceOrder            █",
        "    10 ms in queue, 10 ms handling",
    ]
    authorize = drawn.index("  4 Authorize                 ░█▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓█")
    assert drawn[authorize + 1] == "    10 ms in queue, 10 ms handling, 300 ms effect"
    assert drawn[-1] == "    ░ in queue  █ handling  ▓ effect"
    assert [line.plain.rstrip() for line in trace_view.sequence_lines(build_sequence(waterfall), 80)][:6] == [
        "                            client              payment          notification",
        "                                       order             inventory",
        "  1 PlaceOrder                 ├─────────▶         │         │         │",
        "  2 OrderPlaced                │         ├─────────▶         │         │",
        "  2 OrderPlaced                │         ├───────────────────▶         │",
        "  3 StockReserved              │         ◀───────────────────┤         │",
    ]


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    history = placed()
    history.handled(payments.Authorize, "payment_svc", 665.3, queued=665.0, failed_attempts=3)
    waterfall = waterfall_of(history.without("inventory_svc"), now=700)
    lines = [
        *trace_view.waterfall_lines(waterfall, width),
        *trace_view.sequence_lines(build_sequence(waterfall), width),
    ]
    labels = {line.plain for line in lines if line.plain.startswith(("    ", "inventory_svc"))}
    wide = [
        line.plain for line in lines if line.plain not in labels and cell_len(line.plain.rstrip()) > width
    ]
    assert wide == [] or width < 60, "only labels need more than 60 columns"


def test_a_silent_service_and_unhandled_messages_are_marked() -> None:
    waterfall = waterfall_of(placed().without("inventory_svc"), now=3.0)
    drawn = [line.plain for line in trace_view.waterfall_lines(waterfall, 100)]
    assert "inventory_svc  does not respond: what it handled is unknown" in drawn
    assert any("????" in line and "inventory_svc does not respond" in line for line in drawn)
    assert any("▒▒▒▒" in line and "not handled for 2.92 s" in line for line in drawn)
    arrows = [line.plain for line in trace_view.sequence_lines(build_sequence(waterfall), 100)]
    assert any(line.rstrip().endswith("?") and "╌╌╌" in line for line in arrows)


@pytest.mark.parametrize(
    ("history", "code", "expected"),
    [
        (confirmed().without(), 0, "Where"),
        (JourneyHistory(), 1, "no service knows order"),
        (JourneyHistory(silent=SILENT), 3, "order_svc, inventory_svc, payment_svc, notification_svc might"),
        (confirmed().without("payment_svc"), 0, "payment_svc: it did not return what it has handled"),
    ],
    ids=["known", "unknown", "no service responds", "one does not respond"],
)
def test_exit_codes_are_those_of_explain(
    monkeypatch: pytest.MonkeyPatch, history: JourneyHistory, code: int, expected: str
) -> None:
    document = run_trace(monkeypatch, history, code, "--json")
    found = json.loads(document)
    assert found["order_id"] == ID and found["silent"] == history.silent
    shown = run_trace(monkeypatch, history, code)
    assert expected in shown or (expected == "Where" and "300 ms effect" in shown)
    assert all(name in shown for name in history.silent)


@pytest.mark.parametrize(
    ("history", "code", "remedy"),
    [
        (JourneyHistory(), 1, "check the id"),
        (JourneyHistory(silent=SILENT), 3, "`journey up` starts what is not running"),
        (confirmed().without("payment_svc"), 0, "`journey up` starts what is not running"),
    ],
    ids=["unknown", "no service responds", "one does not respond"],
)
def test_a_trace_prints_remedies(
    monkeypatch: pytest.MonkeyPatch, history: JourneyHistory, code: int, remedy: str
) -> None:
    shown = run_trace(monkeypatch, history, code)
    assert f"· {remedy}" in shown.partition("what to do:\n")[2]
    remedies = json.loads(run_trace(monkeypatch, history, code, "--json"))["remedies"]
    assert [each for each in remedies if each.startswith(remedy)]


def test_json_has_the_bars_and_the_arrows(monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(run_trace(monkeypatch, confirmed().without(), 0, "--json"))
    [payment] = [lane for lane in found["lanes"] if lane["service"] == "payment_svc"]
    [authorize] = [each for each in payment["messages"] if each["type"] == payments.Authorize.TYPE]
    assert payment["responds"] is True
    assert [bar["kind"] for bar in authorize["bars"]] == ["queue", "handling", "effect", "handling"]
    assert authorize["bars"][2] == {
        "kind": "effect",
        "begin": after(0.1).isoformat(),
        "end": after(0.4).isoformat(),
    }
    assert found["sequence"][0] == {
        "message_id": "PlaceOrder",
        "type": "order.place.v1",
        "from": None,
        "to": "order_svc",
        "state": "handled",
    }


def run_trace(monkeypatch: pytest.MonkeyPatch, history: JourneyHistory, code: int, *options: str) -> str:
    async def explained(*_: object) -> Explanation:
        return Explanation(ID, after(1.0), None, history, ShopSnapshot({}, {}, {}, dead_letters=()))

    monkeypatch.setattr(explain, "explain", explained)
    monkeypatch.setattr(trace, "shop_endpoints", lambda: None)
    with console.capture() as captured:
        ended = CliRunner().invoke(explain_app, ["trace", ID, *options])
    assert ended.exit_code == code, ended.output
    return ended.output + captured.get()

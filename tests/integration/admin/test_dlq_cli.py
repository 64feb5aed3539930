"""Wrong use of `journey dlq` prints an error with the remedy, and sets an exit code; no traceback,
no lost message.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chassis.bus.rabbitmq import RabbitBus
from chassis.core import retry
from chassis.messaging.envelope import WireMessage
from contracts.catalog import NAMES
from inventory_svc.service import inventory_service
from journey.admin.dead_letters import reader
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.endpoints import ShopEndpoints
from journey.admin.registry import SERVICES
from journey.cli import app
from journey.devenv.infra.ports import free_ports
from tests.support.cli_runner import printed_json
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import placed

NOT_AS_PROMISED = 1
MISUSED = 2
UNAVAILABLE = 3
SOMEWHERE = ShopEndpoints("local", "journey", "amqp://127.0.0.1:1", {"operator": "s3cret"}, {}, "", "")


@dataclass(frozen=True)
class Ended:
    code: int
    output: str


class Terminal:
    """Runs `journey …` in this process, because that is fast;
    any exception other than an exit fails the test.
    """

    def __init__(self, home: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._home = home
        self._patch = patch
        self._capture = capture
        patch.setenv("JOURNEY_HOME", str(home))
        patch.setenv("COLUMNS", "200")

    def at(self, endpoints: ShopEndpoints) -> "Terminal":
        """Use this shop from now on."""
        (self._home / "system.json").write_text(json.dumps(asdict(endpoints)))
        return self

    def dlq(self, *arguments: str) -> Ended:
        self._patch.setattr("sys.argv", ["journey", "dlq", *arguments])
        self._capture.readouterr()
        try:
            app.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        output = self._capture.readouterr()
        return Ended(code, output.out + output.err)

    async def type(self, *arguments: str) -> Ended:
        return await asyncio.to_thread(self.dlq, *arguments)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, monkeypatch, capsys)


def endpoints_of(vhost: VirtualHost) -> ShopEndpoints:
    return replace(SOMEWHERE, vhost=vhost.name, amqp_base=vhost.amqp_url, passwords=vhost.passwords)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("redrive",), "--all"),
        (("redrive", "--all"), "--yes"),
        (("redrive", "some-id"), "--yes"),
        (("redrive", "--all", "--yes", "--batch", "0"), "--batch"),
        (("redrive", "--all", "--yes", "--rate", "-1"), "--rate"),
        (("drop", "some-id", "--yes"), "--reason"),
        (("drop", "some-id", "--yes", "--reason", " "), "--reason"),
        (("drop", "--yes", "--reason", "old"), "select some"),
        (("drop", "some-id", "--reason", "old"), "--yes"),
        (("list", "--service", "nobody_svc"), "order_svc"),
        (("redrive", "--service", "nobody_svc", "--yes"), "order_svc"),
        (("audit", "--since", "yesterday"), "--since"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_reported_with_the_remedy(
    terminal: Terminal, arguments: tuple[str, ...], output: str
) -> None:
    ended = terminal.at(SOMEWHERE).dlq(*arguments)
    assert ended.code == MISUSED, ended.output
    assert output in ended.output


COMMANDS = [
    ("list",),
    ("show", "some-id"),
    ("redrive", "--all", "--yes"),
    ("drop", "some-id", "--yes", "--reason", "old"),
    ("audit",),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_broker_that_is_down_is_named_with_the_remedy(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    [port] = free_ports(1)
    ended = terminal.at(replace(SOMEWHERE, amqp_base=f"amqp://127.0.0.1:{port}")).dlq(*arguments)
    assert ended.code == UNAVAILABLE, ended.output
    assert f"127.0.0.1:{port} does not respond" in ended.output and "journey up" in ended.output
    assert "s3cret" not in ended.output


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_without_a_running_shop_the_error_names_the_start_command(
    terminal: Terminal, arguments: tuple[str, ...]
) -> None:
    ended = terminal.dlq(*arguments)
    assert ended.code == MISUSED and "journey up" in ended.output


@pytest.mark.parametrize("command", ["", *(arguments[0] for arguments in COMMANDS)])
def test_every_command_explains_itself(terminal: Terminal, command: str) -> None:
    ended = terminal.dlq(*command.split(), "--help")
    assert ended.code == 0 and "Usage" in ended.output


@pytest.mark.real
@pytest.mark.every_service
class TestOnABroker:
    @pytest.fixture
    def here(self, terminal: Terminal, vhost: VirtualHost) -> Terminal:
        return terminal.at(endpoints_of(vhost))

    async def test_reading_empty_queues_is_no_failure(self, here: Terminal) -> None:
        for arguments, output in (
            (("list",), "no dead letters"),
            (("redrive", "--all", "--yes"), "nothing to redrive"),
        ):
            ended = await here.type(*arguments)
            assert ended.code == 0 and output in ended.output, ended.output
        assert "nothing was" in (await here.type("audit")).output

    @pytest.mark.parametrize(
        "arguments", [("show",), ("redrive", "--yes"), ("drop", "--yes", "--reason", "old")]
    )
    async def test_an_unknown_id_is_named_and_nothing_is_changed(
        self, here: Terminal, vhost: VirtualHost, arguments: tuple[str, ...]
    ) -> None:
        wire_message = await dead(vhost)
        ended = await here.type(
            *arguments, "no-such-id", *([wire_message.message_id or ""] if len(arguments) > 1 else [])
        )
        assert ended.code == NOT_AS_PROMISED, ended.output
        assert "'no-such-id'" in ended.output and "dlq list" in ended.output
        assert [dead_letter.id for dead_letter in await dead_letters(vhost)] == [wire_message.message_id]

    async def test_a_dry_run_reports_and_changes_nothing(self, here: Terminal, vhost: VirtualHost) -> None:
        wire_message = await dead(vhost)
        for arguments in ("redrive", "--all"), ("drop", "--type", "OrderPlaced", "--reason", "old"):
            ended = await here.type(*arguments, "--dry-run")
            assert ended.code == 0, ended.output
            assert (
                f"{arguments[0]} 1 × order.placed.v1" in ended.output and "nothing was done" in ended.output
            )
        assert [dead_letter.id for dead_letter in await dead_letters(vhost)] == [wire_message.message_id]
        assert "nothing was" in (await here.type("audit")).output

    async def test_shown_dead_letters_contain_no_control_sequences(
        self, here: Terminal, vhost: VirtualHost
    ) -> None:
        wire_message = await dead(vhost, error="a \x1b[2Jtrap [bold]and markup", body=b'{"x": "\xc2\x9b2J"}')
        for arguments in ("list",), ("show", wire_message.message_id or ""):
            ended = await here.type(*arguments)
            assert ended.code == 0 and "trap [bold]and markup" in ended.output, ended.output
            assert "\x1b[2J" not in ended.output and "\x9b" not in ended.output

    async def test_an_operator_lists_redrives_and_drops_dead_letters(
        self, here: Terminal, vhost: VirtualHost
    ) -> None:
        """List, show, redrive, list again, audit."""
        wire_message, other = await dead(vhost), await dead(vhost, error="another bug")
        listed = printed_json((await here.type("list", "--json", "--error", "why")).output)
        assert [each["id"] for each in listed] == [wire_message.message_id]
        shown = (await here.type("show", wire_message.message_id or "")).output
        assert "RuntimeError: why" in shown and "Traceback" in shown and '"order_id"' in shown
        redriven = await here.type("redrive", wire_message.message_id or "", "--yes", "--as", "Ada")
        assert redriven.code == 0 and "1 of 1" in redriven.output, redriven.output
        dropped = await here.type("drop", other.message_id or "", "--yes", "--reason", "paid by hand")
        assert dropped.code == 0, dropped.output
        assert await dead_letters(vhost) == []
        reported = printed_json((await here.type("audit", "--since", "10m", "--json")).output)
        assert [(each["message_id"], each["action"], each["queue"]) for each in reported] == [
            (wire_message.message_id, "redrive", "inventory_svc.events"),
            (other.message_id, "drop", "inventory_svc.events"),
        ]
        assert (
            reported[0]["by"] == "Ada"
            and "@" in reported[1]["by"]
            and reported[1]["reason"] == "paid by hand"
        )
        assert "paid by hand" in (await here.type("audit")).output

    async def test_a_refused_dead_letter_stays_with_its_reason(
        self, here: Terminal, vhost: VirtualHost
    ) -> None:
        """The event was forged by a service: redriven by the operator, it would be trusted."""
        wire_message = await dead(vhost, sender="inventory_svc")
        ended = await here.type("redrive", "--all", "--yes")
        assert ended.code == NOT_AS_PROMISED
        assert "must come from order_svc" in ended.output and "nothing to redrive" in ended.output
        assert [dead_letter.id for dead_letter in await dead_letters(vhost)] == [wire_message.message_id]

    async def test_without_an_audit_log_nothing_is_done(self, here: Terminal, vhost: VirtualHost) -> None:
        wire_message = await dead(vhost)
        async with vhost.admin as admin:
            await admin.delete_queue(vhost.name, NAMES.audit)
        for arguments in (
            ("redrive", "--all", "--yes"),
            ("drop", "--type", "OrderPlaced", "--yes", "--reason", "old"),
        ):
            ended = await here.type(*arguments)
            assert ended.code == UNAVAILABLE and "topology apply" in ended.output, ended.output
            assert [dead_letter.id for dead_letter in await dead_letters(vhost)] == [wire_message.message_id]
        assert (await here.type("audit")).code == UNAVAILABLE


async def dead_letters(vhost: VirtualHost) -> list[DeadLetter]:
    return await reader.read(vhost.url("operator"), list(SERVICES))


async def dead(
    vhost: VirtualHost, error: str = "why", body: bytes | None = None, sender: str = "order_svc"
) -> WireMessage:
    """An event that inventory_svc dead-lettered; returned as it was first sent."""
    wire_message = placed()
    if body is not None:
        wire_message = replace(wire_message, body=body)
    bus = RabbitBus(vhost.url("inventory_svc"))
    await bus.start()
    dead_letter = retry.dead_letter(
        replace(wire_message, user_id=sender),
        failure(error),
        queue="inventory_svc.events",
        service=inventory_service(),
        now=datetime.now(UTC),
    )
    assert await bus.publish([dead_letter]) == [None]
    await bus.stop()
    return wire_message


def failure(text: str) -> RuntimeError:
    """With a traceback."""
    raised: Callable[[], None] = lambda: (_ for _ in ()).throw(RuntimeError(text))  # noqa: E731
    try:
        raised()
    except RuntimeError as error:
        return error
    raise AssertionError

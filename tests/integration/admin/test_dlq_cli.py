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
from chassis.bus.topology import AUDIT
from chassis.core import retry
from chassis.messaging.envelope import WireMessage
from inventory_svc.service import inventory_service
from journey.admin.dead_letters import reader
from journey.admin.dead_letters.dead_letter import DeadLetter
from journey.admin.endpoints import ShopEndpoints
from journey.admin.registry import SERVICES
from journey.cli import app
from journey.devenv.infra.ports import free_ports
from tests.support.infrastructure import VirtualHost
from tests.support.recording_consumer import placed

NOT_AS_PROMISED = 1
MISUSED = 2
UNAVAILABLE = 3
SOMEWHERE = ShopEndpoints("local", "journey", "amqp://127.0.0.1:1", {"operator": "s3cret"}, {}, "", "")


@dataclass(frozen=True)
class Ended:
    code: int
    said: str


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

    def dlq(self, *words: str) -> Ended:
        self._patch.setattr("sys.argv", ["journey", "dlq", *words])
        self._capture.readouterr()
        try:
            app.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        said = self._capture.readouterr()
        return Ended(code, said.out + said.err)

    async def type(self, *words: str) -> Ended:
        return await asyncio.to_thread(self.dlq, *words)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, monkeypatch, capsys)


def place_of(vhost: VirtualHost) -> ShopEndpoints:
    return replace(SOMEWHERE, vhost=vhost.name, amqp_base=vhost.amqp_url, passwords=vhost.passwords)


@pytest.mark.parametrize(
    ("words", "said"),
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
def test_misuse_is_told_what_to_do(terminal: Terminal, words: tuple[str, ...], said: str) -> None:
    ended = terminal.at(SOMEWHERE).dlq(*words)
    assert ended.code == MISUSED, ended.said
    assert said in ended.said


COMMANDS = [
    ("list",),
    ("show", "some-id"),
    ("redrive", "--all", "--yes"),
    ("drop", "some-id", "--yes", "--reason", "old"),
    ("audit",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_broker_that_is_down_is_named_with_the_remedy(terminal: Terminal, words: tuple[str, ...]) -> None:
    [port] = free_ports(1)
    ended = terminal.at(replace(SOMEWHERE, amqp_base=f"amqp://127.0.0.1:{port}")).dlq(*words)
    assert ended.code == UNAVAILABLE, ended.said
    assert f"127.0.0.1:{port} does not respond" in ended.said and "journey up" in ended.said
    assert "s3cret" not in ended.said


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_without_a_running_shop_one_is_told_how_to_start_it(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    ended = terminal.dlq(*words)
    assert ended.code == MISUSED and "journey up" in ended.said


@pytest.mark.parametrize("command", ["", *(words[0] for words in COMMANDS)])
def test_every_command_explains_itself(terminal: Terminal, command: str) -> None:
    ended = terminal.dlq(*command.split(), "--help")
    assert ended.code == 0 and "Usage" in ended.said


@pytest.mark.real
@pytest.mark.every_service
class TestOnABroker:
    @pytest.fixture
    def here(self, terminal: Terminal, vhost: VirtualHost) -> Terminal:
        return terminal.at(place_of(vhost))

    async def test_empty_queues_are_no_failure_of_whoever_looks(self, here: Terminal) -> None:
        for words, said in (
            (("list",), "no dead letters"),
            (("redrive", "--all", "--yes"), "nothing to redrive"),
        ):
            ended = await here.type(*words)
            assert ended.code == 0 and said in ended.said, ended.said
        assert "nothing was" in (await here.type("audit")).said

    @pytest.mark.parametrize("words", [("show",), ("redrive", "--yes"), ("drop", "--yes", "--reason", "old")])
    async def test_an_id_that_is_not_there_is_named_and_nothing_else_is_touched(
        self, here: Terminal, vhost: VirtualHost, words: tuple[str, ...]
    ) -> None:
        wire_message = await dead(vhost)
        ended = await here.type(
            *words, "no-such-id", *([wire_message.message_id or ""] if len(words) > 1 else [])
        )
        assert ended.code == NOT_AS_PROMISED, ended.said
        assert "'no-such-id'" in ended.said and "dlq list" in ended.said
        assert [letter.id for letter in await letters(vhost)] == [wire_message.message_id]

    async def test_a_dry_run_says_what_would_be_done_and_does_nothing(
        self, here: Terminal, vhost: VirtualHost
    ) -> None:
        wire_message = await dead(vhost)
        for words in ("redrive", "--all"), ("drop", "--type", "OrderPlaced", "--reason", "old"):
            ended = await here.type(*words, "--dry-run")
            assert ended.code == 0, ended.said
            assert f"{words[0]} 1 × order.placed.v1" in ended.said and "nothing was done" in ended.said
        assert [letter.id for letter in await letters(vhost)] == [wire_message.message_id]
        assert "nothing was" in (await here.type("audit")).said

    async def test_what_is_shown_carries_nothing_that_a_terminal_obeys(
        self, here: Terminal, vhost: VirtualHost
    ) -> None:
        wire_message = await dead(vhost, error="a \x1b[2Jtrap [bold]and markup", body=b'{"x": "\xc2\x9b2J"}')
        for words in ("list",), ("show", wire_message.message_id or ""):
            ended = await here.type(*words)
            assert ended.code == 0 and "trap [bold]and markup" in ended.said, ended.said
            assert "\x1b[2J" not in ended.said and "\x9b" not in ended.said

    async def test_the_way_of_an_operator(self, here: Terminal, vhost: VirtualHost) -> None:
        """List, show, redrive, list again, audit."""
        wire_message, other = await dead(vhost), await dead(vhost, error="another bug")
        listed = json.loads((await here.type("list", "--json", "--error", "why")).said)
        assert [each["id"] for each in listed] == [wire_message.message_id]
        shown = (await here.type("show", wire_message.message_id or "")).said
        assert "RuntimeError: why" in shown and "Traceback" in shown and '"order_id"' in shown
        redriven = await here.type("redrive", wire_message.message_id or "", "--yes", "--as", "Ada")
        assert redriven.code == 0 and "1 of 1" in redriven.said, redriven.said
        dropped = await here.type("drop", other.message_id or "", "--yes", "--reason", "paid by hand")
        assert dropped.code == 0, dropped.said
        assert await letters(vhost) == []
        told = json.loads((await here.type("audit", "--since", "10m", "--json")).said)
        assert [(each["message_id"], each["action"], each["queue"]) for each in told] == [
            (wire_message.message_id, "redrive", "inventory_svc.events"),
            (other.message_id, "drop", "inventory_svc.events"),
        ]
        assert told[0]["by"] == "Ada" and "@" in told[1]["by"] and told[1]["reason"] == "paid by hand"
        assert "paid by hand" in (await here.type("audit")).said

    async def test_what_is_refused_is_told_why_and_stays(self, here: Terminal, vhost: VirtualHost) -> None:
        """The event was forged by a service: redriven by the operator, it would be trusted."""
        wire_message = await dead(vhost, sender="inventory_svc")
        ended = await here.type("redrive", "--all", "--yes")
        assert ended.code == NOT_AS_PROMISED
        assert "must come from order_svc" in ended.said and "nothing to redrive" in ended.said
        assert [letter.id for letter in await letters(vhost)] == [wire_message.message_id]

    async def test_without_an_audit_log_nothing_is_done(self, here: Terminal, vhost: VirtualHost) -> None:
        wire_message = await dead(vhost)
        async with vhost.admin as admin:
            await admin.delete_queue(vhost.name, AUDIT)
        for words in (
            ("redrive", "--all", "--yes"),
            ("drop", "--type", "OrderPlaced", "--yes", "--reason", "old"),
        ):
            ended = await here.type(*words)
            assert ended.code == UNAVAILABLE and "topology apply" in ended.said, ended.said
            assert [letter.id for letter in await letters(vhost)] == [wire_message.message_id]
        assert (await here.type("audit")).code == UNAVAILABLE


async def letters(vhost: VirtualHost) -> list[DeadLetter]:
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
    letter = retry.dead_letter(
        replace(wire_message, user_id=sender),
        failure(error),
        queue="inventory_svc.events",
        service=inventory_service(),
        now=datetime.now(UTC),
    )
    assert await bus.publish([letter]) == [None]
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

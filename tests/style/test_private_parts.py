"""Every undocumented part of a library that this project uses, by name.

An upgrade that removes a part fails here by the part's name. A use of a foreign name that begins with an
underscore is refused unless it is listed. The reasons for the parts of aiormq: docs/decisions/0039.
Long because one list must be complete.
"""

import ast
from dataclasses import replace
from pathlib import Path

import aiormq
import pytest
import uvicorn

from tests.support import private_parts
from tests.support.private_parts import (
    PrivateBehaviour,
    PrivatePart,
    is_private,
    own_private_names,
    private_uses,
    route_in_the_scope,
    sole_reader_of_aiormq,
    stream_methods_of_aiormq,
    whole_writes_of_aiormq,
)
from tests.support.source_files import ROOT, Function, Source, sources

_FRAMES = "chassis/bus/aiormq_frames"
_TRANSPORT = (f"{_FRAMES}/transport.py",)
_CONNECTION = ("chassis/bus/aiormq_frames/aiormq_connection.py",)
_TEST_SERVER = "tests/support/timeline_fixtures.py"

PARTS = (
    PrivatePart(
        "aiormq.SSLContextProvider.get_context",
        _TRANSPORT,
        "the factory opens the socket itself; exported, but the README does not mention it",
    ),
    PrivatePart("aiormq.Connection.__init__(transport_factory)", _TRANSPORT, "sets our transport factory"),
    PrivatePart("aiormq.TransportFactory.create(url)", _TRANSPORT, "the method that we implement"),
    PrivatePart(
        "aiormq.abc.AbstractConnection.connection_tune",
        _CONNECTION,
        "the frame size that the broker allows; a larger frame would end the connection",
    ),
    PrivatePart(
        "aiormq.abc.AbstractChannel.connection", _TRANSPORT, "finds the writer of a channel's connection"
    ),
    PrivatePart("aiormq.abc.AbstractChannel.number", _CONNECTION, "every frame carries its channel's number"),
    PrivatePart(
        "aio_pika.connection.Connection.kwargs",
        (f"{_FRAMES}/aio_pika_connections.py",),
        "aio_pika passes these options to aiormq, but no documented argument sets the transport factory",
    ),
    PrivatePart("pamqp.heartbeat.Heartbeat.marshal", (f"{_FRAMES}/tap.py",), "a sign of life for aiormq"),
    PrivatePart(
        "pamqp.header.ContentHeader.properties", (f"{_FRAMES}/messages.py",), "reads what aiormq decoded"
    ),
    PrivatePart(
        "starlette.routing.compile_path",
        ("chassis/web/app.py",),
        "a 405 response names the methods of every route with the path; Starlette names those of one route",
    ),
    PrivatePart(
        "uvicorn.Server.capture_signals",
        ("chassis/web/app.py", _TEST_SERVER),
        "the runtime handles the signals: it drains the queues before the server stops",
    ),
    PrivatePart(
        "uvicorn.Server.should_exit",
        ("chassis/web/app.py", _TEST_SERVER),
        "ends the server without a signal",
    ),
    PrivatePart("uvicorn.Server.started", (_TEST_SERVER,), "tells when the server listens"),
    PrivatePart("uvicorn.Server.servers", (_TEST_SERVER,), "tells the port that the system has chosen"),
    PrivatePart(
        "limits.aio.storage.MongoDBStorage.storage",
        ("gateway/http/rate_limit.py",),
        "the MongoDB client of the counters, to close it",
    ),
    PrivatePart(
        "fastapi.routing.APIRoute.dependant",
        ("tests/conformance/http/test_ids.py",),
        "lists the parameters of every route",
    ),
    PrivatePart(
        "fastapi._compat.v2.ModelField._type_adapter",
        ("tests/conformance/http/test_ids.py",),
        "validates a value as the route would; FastAPI has no public way to do it",
    ),
    PrivatePart(
        "httpx.AsyncClient._transport",
        (
            "tests/support/shops/gateway_with_services.py",
            "tests/integration/services/gateway/test_user_svc_contract.py",
            "tests/unit/operations/test_access.py",
            "tests/unit/user_svc/http/test_openapi.py",
        ),
        "a test reaches the application behind a client that its fixture has made",
    ),
    PrivatePart(
        "asyncio.base_events.BaseEventLoop._clock_resolution",
        ("tests/simulation/virtual_time.py",),
        "after a year of virtual time floats are coarser than the loop's resolution, so no timer would "
        "be due",
    ),
    PrivatePart(
        "xdist.scheduler.LoadScopeScheduling._split_scope",
        ("tests/support/xdist_workers.py",),
        "groups tests by file; the docstring of the class names it as the method to override",
    ),
    PrivatePart(
        "schemathesis.engine.from_schema",
        ("tests/support/openapi_checks.py",),
        "runs all checks on an application without the command line",
    ),
    PrivatePart(
        "schemathesis.engine.events.ScenarioFinished",
        ("tests/support/openapi_checks.py",),
        "has the failures",
    ),
    PrivatePart(
        "schemathesis.engine.events.FatalError", ("tests/support/openapi_checks.py",), "the run has failed"
    ),
    PrivatePart(
        "schemathesis.engine.events.NonFatalError", ("tests/support/openapi_checks.py",), "a check has failed"
    ),
    PrivatePart(
        "typer.main.get_command",
        ("tests/unit/journey/cli/test_usage.py", "tests/style/test_runbooks.py"),
        "lists every command of the CLI",
    ),
    PrivatePart(
        "testcontainers.core.config.testcontainers_config",
        ("journey/devenv/infra/docker.py",),
        "tells which images the containers' reaper needs",
    ),
    PrivatePart(
        "testcontainers.core.config.ConnectionMode",
        ("journey/devenv/infra/docker.py",),
        "tells whether the containers listen on this machine",
    ),
)


BEHAVIOURS = (
    PrivateBehaviour(
        "aiormq reads with StreamReader.at_eof, read and readexactly only",
        _TRANSPORT,
        "the tap's reader replaces these three methods; another one would wait for ever",
        "tests/conformance/bus/test_bus.py::test_a_message_arrives_with_every_property_and_byte",
        stream_methods_of_aiormq,
    ),
    PrivateBehaviour(
        "aiormq reads in FrameReceiver only",
        _TRANSPORT,
        "what is read elsewhere would bypass the check above",
        "tests/conformance/bus/test_bus.py::test_a_message_arrives_with_every_property_and_byte",
        sole_reader_of_aiormq,
    ),
    PrivateBehaviour(
        "aiormq writes each queued frame whole",
        _TRANSPORT,
        "we write to the same StreamWriter",
        "tests/conformance/bus/test_bus_on_rabbitmq.py::test_an_acknowledgement_that_nothing_follows_is_written_too",
        whole_writes_of_aiormq,
    ),
    PrivateBehaviour(
        "aiormq raises StopAsyncIteration if the broker hangs up during the handshake",
        _CONNECTION,
        "broker_call translates it into BusUnavailable",
        "tests/unit/chassis/bus/test_aiormq_connection.py::test_a_broker_that_disconnects_during_the_handshake_is_unavailable",
    ),
    PrivateBehaviour(
        "aiormq ends calls that wait on a dead connection with CancelledError",
        _CONNECTION,
        "broker_call distinguishes it from the cancellation of a task",
        "tests/conformance/bus/test_bus_on_rabbitmq.py::test_a_dead_connection_is_distinguished_from_a_cancellation",
    ),
    PrivateBehaviour(
        "aiormq raises InvalidFrameError with the text Connection.OpenOk if the virtual host is missing",
        ("chassis/bus/aiormq_frames/broker_errors.py",),
        "the message to operators names the virtual host",
        "tests/conformance/bus/test_bus_on_rabbitmq.py::test_a_missing_virtual_host_is_named",
    ),
    PrivateBehaviour(
        "FastAPI and Starlette put the matched route into scope['route']",
        ("gateway/http/middleware.py",),
        "metrics are labelled by the route's pattern, because the number of paths is unbounded",
        missing=route_in_the_scope,
    ),
)

_ATTRIBUTES = frozenset(part.attribute for part in PARTS)
_LISTED = {(module, part.attribute) for part in PARTS for module in part.modules}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_library_still_has_the_part(part: PrivatePart) -> None:
    assert not part.problem(), part.problem()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.name)
def test_the_library_still_behaves_so(behaviour: PrivateBehaviour) -> None:
    change = behaviour.missing() if behaviour.missing else ""
    assert not change, (
        f"{change}: {', '.join(behaviour.modules)} need that {behaviour.name}: {behaviour.reason}"
    )
    assert behaviour.missing or behaviour.tested_by, f"{behaviour.name}: name the test that fails without it"
    path, _, name = behaviour.tested_by.partition("::")
    tests = (
        {node.name for node in ast.walk(Source(Path(path)).tree) if isinstance(node, Function)}
        if path
        else {""}
    )
    assert name in tests, (
        f"{behaviour.tested_by} does not exist; name the test that fails without {behaviour.name}"
    )


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_each_listed_module_uses_the_part(part: PrivatePart) -> None:
    for module in part.modules:
        assert part.attribute in (ROOT / module).read_text(), (
            f"{module} does not use {part.name}; delete it here"
        )


def unlisted(source: Source) -> list[str]:
    """A sentence for each use of a private part that the list does not have for this file."""
    uses = list(private_uses(source, own_private_names(), frozenset(filter(is_private, _ATTRIBUTES))))
    imported = {f"{module}.{name}" for module, name in source.imports()}
    uses += [
        (1, part.attribute) for part in PARTS if part.name in imported and not is_private(part.attribute)
    ]
    return [
        f"{source.path}:{line}: {name} is no documented part of its library; use a documented one, or list it"
        " with its reason in tests/style/test_private_parts.py"
        for line, name in uses
        if (str(source.path), name) not in _LISTED
    ]


def test_every_private_part_is_listed() -> None:
    found = [sentence for source in sources() for sentence in unlisted(source)]
    assert not found, "\n" + "\n".join(found)


def made_up(text: str) -> Source:
    source = Source(Path("chassis/made_up.py"))
    source.__dict__["text"] = text  # where cached_property keeps it
    return source


OVERRIDES = "import aiormq\nclass C(aiormq.Connection):\n    def {}(self) -> None: ...\n"
INHERITS = "import uvicorn\nclass S(uvicorn.Server):\n    def f(self) -> object:\n        return self.{}\n"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (
            "import aiormq\nasync def f(c: aiormq.Connection) -> None:\n    c._reader_task.cancel()\n",
            "_reader_task",
        ),
        ("from uvicorn._types import ASGI3Application\n", "_types"),
        ("import pydantic._internal\n", "_internal"),
        ("from motor.core import _MotorTransactionContext\n", "_MotorTransactionContext"),
        ("import asyncio\nasyncio._get_running_loop()\n", "_get_running_loop"),
        ("import aiormq\nsetattr(aiormq.Connection, '_rpc', None)\n", "_rpc"),
        ("def f(client: object) -> object:\n    return getattr(client, '_mounts')\n", "_mounts"),
        ("def f(client: object) -> object:\n    return client._transport\n", "_transport"),
        ("from starlette.routing import compile_path\n", "compile_path"),
        (OVERRIDES.format("_on_reader_done"), "_on_reader_done"),
        (OVERRIDES.format("_Connection__reader"), "_Connection__reader"),
        (INHERITS.format("_captured_signals"), "_captured_signals"),
    ],
)
def test_an_unlisted_private_part_is_refused(code: str, name: str) -> None:
    [sentence] = unlisted(made_up(code))
    assert sentence.startswith("chassis/made_up.py:") and name in sentence


def test_private_parts_of_our_own_and_documented_ones_are_allowed() -> None:
    uses = "self._x, other._dispatcher, point._replace(x=1)"
    code = f"class C:\n    def f(self, other: C) -> object:\n        return {uses}\n"
    assert not unlisted(made_up(code))


@pytest.mark.parametrize(
    "name",
    [
        "uvicorn.Server.capture_signals",
        "starlette.routing.compile_path",
        "aiormq.SSLContextProvider.get_context",
    ],
)
def test_a_part_that_disappears_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(name)
    problems = list(filter(None, (part.problem() for part in PARTS)))
    assert len(problems) == 1 and problems[0].startswith(f"{name}: {name.rpartition('.')[2]} is gone; ")


def test_an_instance_attribute_or_a_parameter_that_disappears_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [started] = [part for part in PARTS if part.name == "uvicorn.Server.started"]
    left = private_parts.instance_attributes(uvicorn.Server) - {"started"}
    monkeypatch.setattr(private_parts, "instance_attributes", lambda _: left)
    assert "started is gone; tests/support/timeline_fixtures.py use it" in started.problem()
    [factory] = [part for part in PARTS if part.attribute == "transport_factory"]
    assert "other is gone" in replace(factory, name="aiormq.Connection.__init__(other)").problem()


def test_a_behaviour_that_changes_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "connection.py"
    source = Path(aiormq.connection.__file__).read_text()
    changed.write_text(source.replace("self.reader.readexactly(1)", "self.reader.readuntil(b'\\xce')"))
    monkeypatch.setattr(aiormq.connection, "__file__", str(changed))
    assert stream_methods_of_aiormq() == "aiormq calls readuntil on its StreamReader"

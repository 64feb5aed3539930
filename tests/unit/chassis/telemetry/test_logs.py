"""The log lines of a program: JSON with its name and version, also those of libraries, and redacted."""

import io
import json
import logging
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis import telemetry
from chassis.circuit_breaker import CircuitBreaker
from chassis.core.observer import MessageObserver
from chassis.messaging.envelope import Forged
from chassis.store.protocol import Loaded, StoreUnavailable
from chassis.telemetry.circuits import report_circuit
from chassis.telemetry.program import program_version
from chassis.telemetry.redaction import MASK, redact
from order_svc.service import order_service
from tests.support.messages import LISTED
from tests.support.observed_service import observed
from tests.support.pending_deliveries import TRACE, pending

Lines = Callable[[], list[dict[str, Any]]]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """The log lines since the test began, at level debug."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    telemetry.configure("debug", pretty=False, service="order_svc")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    monkeypatch.undo()
    telemetry.configure("info", pretty=False)


def test_each_line_names_the_program_and_its_version(lines: Lines) -> None:
    telemetry.log.info("consuming")
    telemetry.log.warning("not ready", service="payment_svc")
    first, second = lines()
    assert (first["service"], second["service"]) == ("order_svc", "payment_svc")
    assert first["version"] == program_version() != ""
    assert (first["level"], second["level"]) == ("info", "warning")
    assert datetime.fromisoformat(first["timestamp"]).tzinfo is not None


@pytest.mark.parametrize("library", ["uvicorn.error", "aiormq.connection", "pymongo.client"])
def test_lines_of_libraries_have_the_same_format(lines: Lines, library: str) -> None:
    try:
        raise ConnectionError("amqp://order_svc:canary@rabbitmq:5672 does not respond")
    except ConnectionError:
        logging.getLogger(library).exception("connection %s of %s", "lost", "someone@example.org")
    [line] = lines()
    assert (line["service"], line["level"], line["logger"]) == ("order_svc", "error", library)
    assert line["event"] == f"connection lost of {MASK}"
    assert "ConnectionError" in line["exception"] and "canary" not in line["exception"]


def test_debug_lines_of_libraries_are_not_written(lines: Lines) -> None:
    """Some write bodies at that level, for example pymongo's commands."""
    logging.getLogger("pymongo.command").debug("a body")
    assert lines() == []


@pytest.mark.parametrize(
    "field",
    ["password", "new_password", "Authorization", "card_token", "set-cookie", "email", "body", "api_key"],
)
def test_fields_of_secrets_are_masked(field: str) -> None:
    masked = redact(None, "info", {"event": "x", "deep": {"list": [{field: "canary"}]}, field: "canary"})
    assert "canary" not in repr(masked) and masked[field] == MASK


@pytest.mark.parametrize(
    "text",
    [
        "no mailbox canary@example.org",
        "Authorization: Bearer canary.of.a-token",
        "token eyJhbGciOiJFUzI1NiJ9.canary.canary",
        "declined: tok_canary",
        "amqp://order_svc:canary@rabbitmq:5672",
        "1 validation error: name input_value='canary, canary', input_type=str",
    ],
)
def test_texts_that_look_secret_are_masked(text: str) -> None:
    masked = redact(None, "info", {"event": text, "error": ValueError(text), "many": [text]})
    assert "canary" not in repr(masked) and MASK in masked["event"]


def test_other_fields_stay_as_they_are() -> None:
    event = {"event": "put on the retry ladder", "attempt": 2, "queue": "order_svc.events", "body_size": 12}
    assert redact(None, "info", dict(event)) == event


def test_a_failed_message_is_one_line_with_its_ids(lines: Lines) -> None:
    delivery = pending(traceparent=TRACE).delivery
    observer = MessageObserver(order_service())
    for exchange, level in (("retry.5s", "warning"), ("dead", "error")):
        observer.handed_over(delivery, replace(delivery.wire_message, exchange=exchange), KeyError("x"))
        line = lines()[-1]
        assert (line["level"], line["to"], line["reason"]) == (level, exchange, "bug")
        assert line["message_id"] == "m" and line["journey"] == delivery.wire_message.correlation_id
        assert line["trace_id"] == TRACE[3:35] and line["span_id"] == TRACE[36:52]
        assert line["causation"] == "the cause"
    assert len(lines()) == 2


def test_a_forged_message_is_one_line(lines: Lines) -> None:
    delivery = pending(traceparent=TRACE).delivery
    observer = MessageObserver(order_service())
    observer.forged(delivery, Forged("x"), role="client")
    observer.handed_over(delivery, replace(delivery.wire_message, exchange="dead"), Forged("x"))
    [line] = lines()
    assert (line["event"], line["level"], line["role"]) == ("forged message", "error", "client")


def test_each_change_of_a_breaker_is_one_line(lines: Lines) -> None:
    now = 0.0
    breaker = CircuitBreaker(
        probe_s=1.0, clock=lambda: now, changed=report_circuit("order_svc", "payment_svc")
    )
    for _ in range(8):
        breaker.record_failure()
    now = 60.0
    assert breaker.allow_request()
    breaker.record_success()
    breaker.record_success()
    states = [(line["circuit"], line["state"], line["level"]) for line in lines()]
    assert states == [
        ("payment_svc", "open", "warning"),
        ("payment_svc", "half_open", "info"),
        ("payment_svc", "closed", "info"),
    ]


async def test_a_database_outage_is_one_line_at_each_end(lines: Lines) -> None:
    async with observed(order_service()) as service:
        attempts = 0
        load = service.store.load

        async def unavailable(kind: str, keys: Collection[str]) -> dict[str, Loaded]:
            nonlocal attempts
            attempts += 1
            if attempts < 4:
                raise StoreUnavailable("no answer")
            return await load(kind, keys)

        service.store.load = unavailable  # type: ignore[method-assign]
        await service.receive(LISTED)
    events = [line["event"] for line in lines()]
    assert attempts >= 4
    assert len([event for event in events if event.startswith("store unavailable")]) == 1
    assert events.count("store available again") == 1

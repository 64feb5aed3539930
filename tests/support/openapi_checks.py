"""Sends an application requests from its OpenAPI document, valid and invalid ones."""

from collections.abc import Iterator

import schemathesis
from fastapi import FastAPI
from schemathesis.config import HealthCheck, SchemathesisConfig
from schemathesis.engine import events, from_schema

# Slow tests on a busy machine are no failure of the service.
_HOW = SchemathesisConfig(seed=1, color=False, suppress_health_check=[HealthCheck.too_slow])


def complaints(
    app: FastAPI, examples: int = 8, *, headers: dict[str, str] | None = None, paths: str = ""
) -> Iterator[str]:
    """Failed Schemathesis checks, one of each kind per operation, with the command to reproduce it.

    Sends examples, boundary values and `examples` random requests per operation, always the same ones.
    `headers`: sent with each request, e.g. credentials. `paths`: a regular expression that selects paths.
    """
    whole = schemathesis.openapi.from_asgi("/openapi.json", app, config=_HOW)
    schema = whole.include(path_regex=paths) if paths else whole
    if headers:
        schema.config.update(headers=headers)
    schema.config.generation.update(max_examples=examples)
    seen: set[tuple[str, str, str]] = set()
    asked = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            yield f"{event.label}: {event.value}"
        if isinstance(event, events.ScenarioFinished):
            asked += len(event.recorder.interactions)
            for found in _failures(event):
                if found[:3] not in seen:
                    seen.add(found[:3])
                    yield ": ".join(found)
    if not asked:
        yield "no request was sent: the document has no operation"


def _failures(event: events.ScenarioFinished) -> Iterator[tuple[str, str, str, str, str]]:
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                yield (
                    str(failure.operation),
                    check.name,
                    failure.title,
                    failure.message,
                    check.failure_info.code_sample,
                )

"""docs/retention.md states how long each collection is kept, and is correct."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from chassis.core.definition import Aggregate, ServiceDefinition
from chassis.settings import BadSettings, Settings, load_settings
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.source_files import ROOT
from tests.unit.chassis.test_settings import GOOD

_ROW = re.compile(r"^\| (\w+) \| `(\w+)` \| ([\w ]+) \| ([\w, —]+) \| (.+) \|$", re.MULTILINE)
ROWS = {(service, kind): (kept, counts, setting) for service, kind, kept, counts, setting in _ROW.findall(
    (ROOT / "docs" / "retention.md").read_text()
)}  # fmt: skip
ALL = [
    (service, kind) for service in (make() for make in CONSUMING_SERVICES.values()) for kind in service.kinds
]


def aggregate_of(service: ServiceDefinition, kind: str) -> Aggregate[Any] | None:
    """None for related aggregates."""
    return next((aggregate for aggregate in service.aggregates if aggregate.kind == kind), None)


def test_the_document_has_a_rule_for_exactly_the_existing_collections() -> None:
    assert {(service.name, kind) for service, kind in ALL} == ROWS.keys()


@pytest.mark.parametrize(("service", "kind"), ALL, ids=lambda each: getattr(each, "name", each))
def test_the_rule_is_what_the_service_does(service: ServiceDefinition, kind: str) -> None:
    aggregate, (kept, counts, setting) = aggregate_of(service, kind), ROWS[service.name, kind]
    if aggregate is None or aggregate.ttl is None:
        assert (kept, counts) == ("for ever", "—")
        return
    statuses = "always" if aggregate.ended_statuses is None else ", ".join(sorted(aggregate.ended_statuses))
    assert (kept, counts) == (f"{aggregate.ttl.days} days", statuses)
    if "RETENTION_DAYS" in setting:
        make: Callable[..., ServiceDefinition] = CONSUMING_SERVICES[service.name]
        changed = aggregate_of(make(ttl=timedelta(days=77)), kind)
        assert changed is not None and changed.ttl == timedelta(days=77)
    else:
        assert setting.startswith("fixed")


@pytest.mark.parametrize(("service", "kind"), ALL, ids=lambda each: getattr(each, "name", each))
def test_open_aggregates_never_expire(service: ServiceDefinition, kind: str) -> None:
    aggregate = aggregate_of(service, kind)
    if aggregate is not None and aggregate.ttl is not None and aggregate.ended_statuses is not None:
        assert not aggregate.open_statuses & aggregate.ended_statuses


def test_a_retention_shorter_than_messages_may_come_again_is_refused() -> None:
    with pytest.raises(BadSettings, match="RETENTION_DAYS: "):
        load_settings(Settings, **GOOD, retention_days=59)
    assert load_settings(Settings, **GOOD, retention_days=60).ttl == timedelta(days=60)

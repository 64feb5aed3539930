"""The table of docs/retention.md: how long each collection is kept, by the service definitions.

The last column is the variable that changes the time, or else a reason. Reasons are written by hand in the
document, and kept when the table is written again.
"""

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta

from chassis.core.definition import Aggregate, ServiceDefinition
from journey.admin.registry import CONSUMING_SERVICES
from tests.support.decision_tables import markdown
from tests.support.source_files import ROOT

DOCUMENT = ROOT / "docs" / "retention.md"
NO_REASON = "write the reason here"
HEADINGS = ("Service", "Collection", "Kept after the last change", "Counts while", "Setting")
_ROW = re.compile(r"^\| (\w+) \| `(\w+)` \| [^|]+ \| [^|]+ \| (.+) \|$", re.MULTILINE)
_OTHER_TIME = timedelta(days=77)


def retention_table() -> str:
    """One row per collection."""
    reasons = {(service, kind): reason for service, kind, reason in _ROW.findall(DOCUMENT.read_text())}
    return markdown(HEADINGS, [row for name in CONSUMING_SERVICES for row in _rows(name, reasons)])


def _rows(name: str, reasons: dict[tuple[str, str], str]) -> Iterator[tuple[str, ...]]:
    service = CONSUMING_SERVICES[name]()
    for kind in dict.fromkeys((*(each.kind for each in service.aggregates), *service.kinds)):
        aggregate = aggregate_of(service, kind)
        setting = f"`RETENTION_DAYS` of {'the ' * (name == 'gateway')}{name}"
        if not is_set_by_variable(name, kind):
            setting = reasons.get((name, kind), NO_REASON)
        yield name, f"`{kind}`", *rule(aggregate), setting


def aggregate_of(service: ServiceDefinition, kind: str) -> Aggregate[object] | None:
    """None for related aggregates."""
    return next((aggregate for aggregate in service.aggregates if aggregate.kind == kind), None)


def rule(aggregate: Aggregate[object] | None) -> tuple[str, str]:
    """How long a collection is kept, and the statuses in which that time counts."""
    if aggregate is None or aggregate.ttl is None:
        return "for ever", "—"
    statuses = "always" if aggregate.ended_statuses is None else ", ".join(sorted(aggregate.ended_statuses))
    return f"{aggregate.ttl.days} days", statuses


def is_set_by_variable(name: str, kind: str) -> bool:
    """Whether the retention that the settings give to the service's factory is that of this collection."""
    make = CONSUMING_SERVICES[name]
    if "ttl" not in inspect.signature(make).parameters:
        return False
    changed = aggregate_of(make(ttl=_OTHER_TIME), kind)  # type: ignore[call-arg]
    return changed is not None and changed.ttl == _OTHER_TIME

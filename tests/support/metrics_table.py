"""All metrics of the shop's programs, as Markdown: from their declarations."""

from importlib import import_module

from chassis.application import application_of
from chassis.telemetry.instruments import INSTRUMENTS, Instrument
from journey.admin.registry import SERVICES
from tests.support.decision_tables import markdown

_PROGRAMS = ("gateway.app", "operations.app", "chassis.runtime")


def instruments() -> dict[str, Instrument]:
    """The metrics of all programs, by name."""
    for name in SERVICES:
        application_of(name)
    for module in _PROGRAMS:
        import_module(module)
    return INSTRUMENTS


def metrics_table() -> str:
    """One row per metric."""
    rows = [
        (
            f"`{each.name}`",
            each.kind,
            ", ".join(f"`{label.name}`" for label in each.labels),
            each.meaning,
            f"`{each.recorded_in}`",
        )
        for _, each in sorted(instruments().items())
    ]
    return markdown(("Metric", "Type", "Labels", "Meaning", "Recorded in"), rows)


def labels_table() -> str:
    """One row per label of a metric, with the bounded set of its values."""
    meanings: dict[tuple[str, str], list[str]] = {}
    for name, each in sorted(instruments().items()):
        for label in each.labels:
            meanings.setdefault((label.name, label.values), []).append(f"`{name}`")
    rows = [
        (f"`{name}`", values, ", ".join(used) if len(used) < 4 else f"{len(used)} metrics")
        for (name, values), used in sorted(meanings.items())
    ]
    return markdown(("Label", "Values", "Used by"), rows)

"""The decision tables of all services: the modules `decision_tables` in the folders of their unit tests.

A table has example histories that lead an aggregate into each of its states, and all messages that it can
then handle. Add new statuses and messages there; the tests report missing ones.
"""

from importlib import import_module

from tests.support.decision_tables import DecisionTable
from tests.support.source_files import ROOT, SERVICE_PACKAGES


def decision_tables_of(service: str) -> tuple[DecisionTable, ...]:
    """DECISION_TABLES of the module; empty if the service has no such module."""
    if not (ROOT / "tests" / "unit" / service / "decision_tables.py").is_file():
        return ()
    found: tuple[DecisionTable, ...] = import_module(f"tests.unit.{service}.decision_tables").DECISION_TABLES
    return found


DECISION_TABLES = tuple(table for name in SERVICE_PACKAGES for table in decision_tables_of(name))

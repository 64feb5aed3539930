"""`python -m tests.support.documents [--check]`: writes the generated documents, or reports outdated ones.

Among them are the Kubernetes manifests in deploy/kubernetes.

The JSON Schema of every message goes to contracts/schemas/, the state tables between the markers in the
services' READMEs, the senders to docs/permissions.md, the rules of retention to docs/retention.md, the
metrics to docs/metrics.md, Grafana's dashboards to deploy/observability, the topology and the database's
users to files for the operator, the requirements of each image to requirements/images, and the services to
README.md, pyproject.toml, compose.yaml, compose.tools.yaml and Prometheus' configuration. A breaking schema
is not written: add a new version of the message instead.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tests.support.kubernetes.files as kubernetes_files
import tests.support.kubernetes.secrets_table as kubernetes_secrets
from chassis.messaging.message import Command, Message
from contracts.catalog import CATALOG
from journey.admin.broker import topology_file
from journey.admin.database import users
from journey.admin.registry import shop_database_users, shop_topology
from tests.support.dashboards.files import dashboard_files
from tests.support.decision_table_fixtures import DECISION_TABLES
from tests.support.decision_tables import handled_table, state_table
from tests.support.image_requirements import requirement_files
from tests.support.metrics_table import labels_table, metrics_table
from tests.support.permissions_table import senders_table, users_table
from tests.support.retention_table import retention_table
from tests.support.schema_compatibility import breaking_changes, removed_types
from tests.support.service_folders import service_folders
from tests.support.service_lists import services_table, with_services

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = Path("contracts/schemas")
COMPOSE = "compose*.yaml"
SCRAPED = "deploy/observability/prometheus/prometheus.yml"
MARKED = re.compile(r"(<!-- table:(?P<name>[a-z_ ]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def schema_of(contract: type[Message]) -> str:
    """The JSON Schema of one message, in a form that changes only with the contract."""
    schema = contract.model_json_schema()
    schema["$id"] = contract.TYPE
    schema["x-kind"] = "command" if issubclass(contract, Command) else "event"
    schema["x-owner"] = contract.OWNER
    schema["x-subject"] = contract.SUBJECT
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def broken_contracts(root: Path = ROOT) -> list[str]:
    """Every breaking change between the checked-in schemas and the code."""
    published = {path.stem: json.loads(path.read_text()) for path in (root / SCHEMAS).glob("*.json")}
    broken = removed_types(set(published), set(CATALOG))
    for type_ in sorted(published.keys() & CATALOG.keys()):
        broken += [
            f"{type_}: {why}" for why in breaking_changes(published[type_], json.loads(_schema(type_)))
        ]
    return broken


def _schema(type_: str) -> str:
    return schema_of(CATALOG[type_])


def tables() -> dict[str, str]:
    """Marker name -> table: the state table of each aggregate, and the handled messages of each service."""
    named = {decision_table.name: state_table(decision_table) for decision_table in DECISION_TABLES}
    for service in {decision_table.service().name for decision_table in DECISION_TABLES}:
        named[f"{service} handles"] = handled_table(
            [decision_table for decision_table in DECISION_TABLES if decision_table.service().name == service]
        )
    return named | {
        "senders": senders_table(),
        "broker users": users_table(),
        "services": services_table(ROOT),
        "retention": retention_table(),
        "metrics": metrics_table(),
        "labels": labels_table(),
        "kubernetes secrets": kubernetes_secrets.secrets_table(),
    }


def documents(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Every generated file with its expected content."""
    for type_ in sorted(CATALOG):
        yield SCHEMAS / f"{type_}.json", _schema(type_)
    played = tables()
    for readme in (
        *root.glob("README.md"),
        *sorted(root.glob("*_svc/README.md")),
        *root.glob("docs/permissions.md"),
        *root.glob("docs/retention.md"),
        *root.glob("docs/metrics.md"),
        *root.glob("docs/kubernetes.md"),
    ):
        text = readme.read_text()
        yield (
            readme.relative_to(root),
            MARKED.sub(lambda found: f"{found[1]}{played[found['name']]}\n{found[3]}", text),
        )
    yield from dashboard_files().items()
    yield topology_file.FILE.relative_to(ROOT), topology_file.text_of(shop_topology())
    yield users.FILE.relative_to(ROOT), users.text_of(shop_database_users())
    yield from requirement_files(ROOT)
    for listing in (*root.glob("pyproject.toml"), *root.glob(COMPOSE), *root.glob(SCRAPED)):
        yield listing.relative_to(root), with_services(listing.read_text(), service_folders(root))
    yield from kubernetes_files.manifest_files().items()


def stale(root: Path = ROOT) -> list[tuple[Path, str]]:
    """The generated files whose content is outdated."""
    return [
        (path, text)
        for path, text in documents(root)
        if not (root / path).exists() or (root / path).read_text() != text
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.documents", description="Write the generated documents."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 if something is out of date"
    )
    options = parser.parse_args(arguments)
    if broken := broken_contracts():
        print(
            "These changes are breaking; keep the message unchanged and add a new version:",
            *broken,
            sep="\n  ",
        )
        return 1
    found = stale()
    for path, text in found:
        print(f"{path}: {'out of date; run `make documents`' if options.check else 'written'}")
        if not options.check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
    return 1 if found and options.check else 0


if __name__ == "__main__":
    sys.exit(main())

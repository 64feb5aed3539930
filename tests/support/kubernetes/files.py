"""The manifests that `make documents` writes.

One file for each program, the Jobs, the users of MongoDB, the alerts for Prometheus' operator, and KEDA's
triggers for several queues per service.
"""

import tomllib
from pathlib import Path
from typing import Any

import yaml

from chassis.messaging.partitions import only_several, parse_partitions
from tests.support.alert_rules import RULES, parsed
from tests.support.kubernetes import jobs, surroundings
from tests.support.kubernetes.programs import Program, programs
from tests.support.kubernetes.workload import Manifest, deployment
from tests.support.source_files import ROOT

BASE = Path("deploy/kubernetes/base")
PARTITIONS = Path("deploy/kubernetes/components/partitions")
SERVICES = BASE / "services"
MONGODB_USERS = BASE / "mongodb-users.yaml"
PROMETHEUS_RULES = BASE / "monitoring" / "prometheus-rules.yaml"
_GENERATED = "# `make documents` writes this file from {source}.\n"
_SERVICES_SOURCE = "the registry, the services' settings and compose.yaml"
COLUMNS_MAX = 110


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, and writes several lines as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]


def manifest_files() -> dict[Path, str]:
    """File -> its content."""
    found = {SERVICES / f"{program.dns}.yaml": _file(_objects(program)) for program in programs()}
    found[SERVICES / "jobs.yaml"] = _file([jobs.topology(_version()), jobs.database(_version())])
    listing = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(path.name for path in found),
    }
    found[SERVICES / "kustomization.yaml"] = _file([listing])
    return found | {
        MONGODB_USERS: _file([jobs.mongodb_users()]),
        PROMETHEUS_RULES: _file([prometheus_rules()], "deploy/observability/prometheus/rules"),
        PARTITIONS / "scaled-objects.yaml": _file(_partitioned(), "settings.env"),
    }


def prometheus_rules() -> Manifest:
    """The alerts and objectives of deploy/observability, as an object of Prometheus' operator."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in parsed(path)["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "order-journey"},
        "spec": {"groups": groups},
    }


def _objects(program: Program) -> list[Manifest]:
    found = [
        surroundings.service_account(program),
        deployment(program, _version()),
        surroundings.service(program),
        surroundings.network_policy(program),
        surroundings.disruption_budget(program),
        surroundings.service_monitor(program),
    ]
    if program.queues:
        found += [surroundings.trigger_authentication(program), surroundings.scaled_object(program)]
    return found


def _partitioned() -> list[Manifest]:
    """The triggers of the services to which the component's setting gives several partitions."""
    name, _, text = (ROOT / PARTITIONS / "settings.env").read_text().strip().partition("=")
    if name != "PARTITIONS" or "\n" in text:
        raise ValueError(f"{PARTITIONS}/settings.env: one line is wanted, such as PARTITIONS=order_svc=3")
    numbers = only_several(parse_partitions(text))
    of_name = {program.name: program for program in programs() if program.queues}
    if unknown := numbers.keys() - of_name.keys():
        raise ValueError(f"{PARTITIONS}/settings.env: no service {', '.join(sorted(unknown))} has queues")
    return [surroundings.scaled_object_patch(of_name[service], many) for service, many in numbers.items()]


def _version() -> str:
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def _file(objects: list[Any], source: str = _SERVICES_SOURCE) -> str:
    text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=COLUMNS_MAX, allow_unicode=True)
    return _GENERATED.format(source=source) + text

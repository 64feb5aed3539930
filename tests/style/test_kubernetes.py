"""The manifests in deploy/kubernetes: rendered, validated by schemas, and checked by the shop's own rules."""

import json
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest

from tests.support.kubernetes.files import SERVICES, manifest_files
from tests.support.kubernetes.rendered import OVERLAYS, Rendered, Rule, rendered
from tests.support.kubernetes.rules import RULES
from tests.support.kubernetes.schemas import VERSIONS, operators, problems
from tests.support.kubernetes.workload import Manifest
from tests.support.source_files import ROOT


def different_objects() -> list[Manifest]:
    """The objects of all overlays. Most are the same in each; those come once."""
    found = {json.dumps(each, sort_keys=True): each for name in OVERLAYS for each in rendered(name).objects}
    return list(found.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_and_the_operators_accept_every_object(version: str) -> None:
    assert [sentence for each in different_objects() for sentence in problems(each, version)] == []


def test_the_newest_version_that_can_be_checked_is_checked() -> None:
    newest = kubernetes_validate.latest_version()
    assert newest.startswith(f"{VERSIONS[-1]}."), f"add {newest} to VERSIONS, and remove the oldest"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_kind_of_an_operator_has_a_schema(overlay: str) -> None:
    kinds = {(each["apiVersion"], each["kind"]) for each in rendered(overlay).objects}
    builtin = ("v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1")
    assert {kind for kind in kinds if kind[0] not in builtin} == set(operators())


def test_no_generated_manifest_is_left_over() -> None:
    assert {path.relative_to(ROOT) for path in (ROOT / SERVICES).glob("*.yaml")} == {
        path for path in manifest_files() if path.parent == SERVICES
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_objects_keep_the_rule(rule: Rule, overlay: str) -> None:
    found = list(rule(rendered(overlay)))
    assert not found, "\n" + "\n".join(found)


def _set(kind: str, name: str, *path: Any) -> Callable[[Rendered], None]:
    """Sets the last element of the path as the value of the others."""
    *keys, last, value = path

    def change(found: Rendered) -> None:
        target: Any = found.of(kind)[name]
        for key in keys:
            target = target[key]
        target[last] = value

    return change


SCHEMA_BREAKS: dict[str, tuple[Callable[[Rendered], None], str]] = {
    "an unknown field": (_set("Deployment", "order-svc", "spec", "replica", 2), "replica"),
    "a wrong type": (
        _set("Service", "gateway", "spec", "ports", 0, "port", "http"),
        "is not of type 'integer'",
    ),
    "an unknown kind": (_set("PodDisruptionBudget", "gateway", "apiVersion", "policy/v9"), "schema"),
    "an unknown field of RabbitMQ": (
        _set("RabbitmqCluster", "rabbitmq", "spec", "tls", "secret", "x"),
        "secret",
    ),
    "a number of members that is text": (
        _set("MongoDBCommunity", "mongo", "spec", "members", "three"),
        "three",
    ),
    "a user without roles": (
        lambda found: found.of("MongoDBCommunity")["mongo"]["spec"]["users"][0].pop("roles"),
        "roles",
    ),
    "a trigger without a type": (
        lambda found: found.of("ScaledObject")["order-svc"]["spec"]["triggers"][0].pop("type"),
        "type",
    ),
    "an unknown field of KEDA": (
        _set("TriggerAuthentication", "order-svc-broker", "spec", "secretRef", []),
        "secretRef",
    ),
    "an unknown field of a ServiceMonitor": (
        _set("ServiceMonitor", "order-svc", "spec", "endpoints", 0, "period", "15s"),
        "period",
    ),
    "an alert without an expression": (
        lambda found: found.of("PrometheusRule")["order-journey"]["spec"]["groups"][0]["rules"][0].pop(
            "expr"
        ),
        "expr",
    ),
}


@pytest.mark.parametrize("name", SCHEMA_BREAKS)
def test_a_schema_refuses(name: str) -> None:
    change, complaint = SCHEMA_BREAKS[name]
    broken = rendered("production").changed(change)
    before = rendered("production").objects
    changed = [after for after, now in zip(broken.objects, before, strict=True) if after != now]
    found = [sentence for each in changed for sentence in problems(each, VERSIONS[-1])]
    assert found and complaint in found[0], found

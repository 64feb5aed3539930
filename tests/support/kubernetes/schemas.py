"""Validation of Kubernetes' own objects, and of those of operators.

RabbitMQ's, MongoDB's and KEDA's definitions are files in deploy/kubernetes. A package has the types of the
Prometheus operator.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor

from tests.support.kubernetes.workload import Manifest
from tests.support.source_files import ROOT

# Those that the Kubernetes project supports; a test names the newest that the package knows.
VERSIONS = ("1.35", "1.36", "1.37")
_SCHEMAS = ROOT / "deploy" / "kubernetes" / "schemas"


def problems(found: Manifest, version: str) -> Iterator[str]:
    """Why this version of Kubernetes, or the operator, would refuse the object."""
    kind = (found["apiVersion"], found["kind"])
    name = f"{found['kind']} {found['metadata']['name']}"
    if kind in operators():
        for error in operators()[kind].iter_errors(found):
            yield f"{name}: {'.'.join(map(str, error.instance_path))}: {error.message}"
        return
    try:
        kubernetes_validate.validate(found, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{name}: {'.'.join(map(str, error.path))}: {error.message} (Kubernetes {version})"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield f"{name}: {error.message}"


@cache
def operators() -> dict[tuple[str, str], Any]:
    """API version and kind -> a validator."""
    return {**_defined(), **_of_the_prometheus_operator()}


def _defined() -> dict[tuple[str, str], Any]:
    """From the operators' CustomResourceDefinitions."""
    found = {}
    for path in sorted(_SCHEMAS.glob("*.yaml")):
        for definition in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            if definition and definition.get("kind") == "CustomResourceDefinition":
                spec = definition["spec"]
                for version in spec["versions"]:
                    key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                    found[key] = jsonschema_rs.Draft7Validator(
                        _object_schema(version["schema"]["openAPIV3Schema"])
                    )
    return found


def _of_the_prometheus_operator() -> dict[tuple[str, str], Any]:
    return {
        ("monitoring.coreos.com/v1", model.__name__): jsonschema_rs.Draft202012Validator(
            _object_schema(model.model_json_schema())
        )
        for model in (PrometheusRule, ServiceMonitor)
    }


def _object_schema(schema: Any) -> Any:
    """With Kubernetes' own metadata, which no operator defines."""
    closed = _closed(schema)
    closed["properties"]["metadata"] = {"type": "object"}
    return closed


def _closed(schema: Any) -> Any:
    """JSON Schema for a structural schema of Kubernetes, in which unknown fields are an error.

    The API server drops them silently (manual: "Field pruning").
    """
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("type", None)
        made.pop("pattern", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    preserves = made.get("x-kubernetes-preserve-unknown-fields")
    if made.get("type") == "object" and "properties" in made and not preserves:
        made.setdefault("additionalProperties", False)
    if made.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made

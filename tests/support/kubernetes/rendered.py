"""The objects of an overlay, as `kubectl kustomize` renders them."""

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.kubernetes import names
from tests.support.kubernetes.workload import Manifest
from tests.support.source_files import ROOT

OVERLAYS = ("local", "production", "partitioned")
_FOLDER = ROOT / "deploy" / "kubernetes" / "overlays"
_KUBECTL = Path(sys.executable).parent / "kubectl"
_POD_OWNERS = ("Deployment", "Job")


@dataclass(frozen=True)
class Rendered:
    """All objects of one overlay."""

    overlay: str
    objects: list[Manifest]

    def of(self, kind: str) -> dict[str, Manifest]:
        """Name -> object."""
        return {each["metadata"]["name"]: each for each in self.objects if each["kind"] == kind}

    def pod_templates(self) -> Iterator[tuple[str, Manifest]]:
        """The kind and name of each Deployment and Job, and the template of its pods."""
        for kind in _POD_OWNERS:
            for name, found in self.of(kind).items():
                yield f"{kind} {name}", found["spec"]["template"]

    def containers(self) -> Iterator[tuple[str, Manifest, Manifest]]:
        """Each container, after its owner and the template of its pod."""
        for owner, template in self.pod_templates():
            for container in template["spec"]["containers"]:
                yield owner, template, container

    def settings(self) -> dict[str, str]:
        """The ConfigMap that all programs read as environment variables."""
        found: dict[str, str] = next(
            each["data"]
            for name, each in self.of("ConfigMap").items()
            if name.startswith(names.SETTINGS_CONFIG_MAP)
        )
        return found

    def changed(self, change: Callable[["Rendered"], None]) -> "Rendered":
        """A copy with a change, for tests of the rules."""
        made = Rendered(self.overlay, copy.deepcopy(self.objects))
        change(made)
        return made


Rule = Callable[[Rendered], Iterator[str]]
"""What is wrong with the objects, one sentence each."""


@cache
def rendered(overlay: str) -> Rendered:
    command = [str(_KUBECTL), "kustomize", str(_FOLDER / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise ValueError(f"kubectl kustomize {overlay}: {done.stderr}")
    return Rendered(overlay, [each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each])


def container_of(template: Manifest) -> Manifest:
    """The program's own container."""
    found: Manifest = template["spec"]["containers"][0]
    return found


def environment(container: Manifest) -> dict[str, Any]:
    """The variables that the manifest itself sets."""
    return {each["name"]: each.get("value") for each in container.get("env", ())}

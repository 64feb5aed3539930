"""`python -m tests.support.kubernetes.podman SERVICE FOLDER [NAME=VALUE…]`: a Deployment for podman.

Prints it for `podman kube play`, which knows no projected volumes, no probes by HTTPS and nothing that needs
a cluster. Folders in FOLDER take the place of volumes: `credentials`, `certificate`, `ca`. NAME=VALUE sets an
environment variable, NAME= removes it: for a broker and a database outside of a cluster. What restricts the
container stays.
"""

import copy
import sys
from pathlib import Path

import yaml

from tests.support.kubernetes.rendered import Rendered, container_of, rendered
from tests.support.kubernetes.workload import Manifest

_ONLY_IN_CLUSTERS = ("topologySpreadConstraints", "serviceAccountName", "terminationGracePeriodSeconds")
_ONLY_WITH_KUBELET = ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "envFrom", "ports")


def for_podman(found: Rendered, service: str, folder: Path, given: dict[str, str]) -> Manifest:
    """The Deployment with one replica in the host's network."""
    made = copy.deepcopy(found.of("Deployment")[service])
    made["spec"]["replicas"] = 1
    pod, container = made["spec"]["template"]["spec"], container_of(made["spec"]["template"])
    for key in _ONLY_IN_CLUSTERS:
        pod.pop(key, None)
    for key in _ONLY_WITH_KUBELET:
        container.pop(key, None)
    for each in ("requests", "limits"):
        container["resources"][each].pop("ephemeral-storage")
    pod["hostNetwork"] = True
    values = {each["name"]: each["value"] for each in container["env"]} | given
    container["env"] = [{"name": name, "value": value} for name, value in values.items() if value]
    pod["volumes"] = [_volume(each, folder) for each in pod["volumes"]]
    return made


def _volume(volume: Manifest, folder: Path) -> Manifest:
    if "emptyDir" in volume:
        return {"name": volume["name"], "emptyDir": {}}
    path = str(folder / volume["name"])
    return {"name": volume["name"], "hostPath": {"path": path, "type": "Directory"}}


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    service, folder, *variables = arguments
    given = dict(each.split("=", 1) for each in variables)
    print(yaml.safe_dump(for_podman(rendered("local"), service, Path(folder).resolve(), given)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How pods run: unprivileged, observed, spread over nodes, stopped without loss."""

from collections.abc import Iterator

from chassis.settings import Settings
from tests.support.kubernetes.network import selects
from tests.support.kubernetes.programs import compose, programs
from tests.support.kubernetes.rendered import Rendered, container_of, environment
from tests.support.kubernetes.workload import Manifest

# After the drain: FINISH_S of chassis/web/app.py for the requests of two servers, connections, spans.
CLOSING_S = 10
_PROBES = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def pods_are_unprivileged(found: Rendered) -> Iterator[str]:
    """The Pod Security Standard `restricted`, a read-only root file system and no token of the API server."""
    for owner, template, container in found.containers():
        pod, security = template["spec"], template["spec"].get("securityContext", {})
        own = container.get("securityContext", {})
        wrong = {
            "runAsNonRoot": security.get("runAsNonRoot") is not True or not security.get("runAsUser"),
            "seccompProfile": security.get("seccompProfile") != {"type": "RuntimeDefault"},
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is not True,
            "capabilities": own.get("capabilities") != {"drop": ["ALL"]},
            "privileged": own.get("privileged", False),
            "automountServiceAccountToken": pod.get("automountServiceAccountToken") is not False,
            "enableServiceLinks": pod.get("enableServiceLinks") is not False,
            "host": any(pod.get(each) for each in ("hostNetwork", "hostPID", "hostIPC")),
            "hostPath": any("hostPath" in volume for volume in pod.get("volumes", ())),
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            yield f"{owner}: {name} is not what the standard `restricted` and this shop need"
    for name, account in found.of("ServiceAccount").items():
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {name}: automountServiceAccountToken must be false"


def secrets_are_files(found: Rendered) -> Iterator[str]:
    """No Secret becomes a variable, no address holds a password, and no manifest holds a Secret's content."""
    for owner, _, container in found.containers():
        for variable in container.get("env", ()):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                yield f"{owner}: {variable['name']} is a secret in a variable; mount it as a file"
            user, at, _ = str(variable.get("value")).partition("://")[2].partition("@")
            if at and ":" in user:
                yield f"{owner}: {variable['name']} holds a password"
        if any("secretRef" in each for each in container.get("envFrom", ())):
            yield f"{owner}: all keys of a Secret become variables; mount it as files"
    for name in found.of("Secret"):
        yield f"Secret {name}: its content does not belong into the repository"


def probes_use_the_health_endpoints(found: Rendered) -> Iterator[str]:
    for program in programs():
        container = container_of(found.of("Deployment")[program.dns]["spec"]["template"])
        for name, path in _PROBES.items():
            probe = container.get(name, {}).get("httpGet", {})
            if (probe.get("path"), probe.get("port"), probe.get("scheme")) != (path, "http", "HTTPS"):
                yield f"{program.dns}: {name} must get {path} at the port http by HTTPS"


def pods_stop_after_their_drain(found: Rendered) -> Iterator[str]:
    """The kubelet kills a pod after its grace period, which begins before preStop."""
    default: float = Settings.model_fields["drain_s"].default
    for program in programs():
        template = found.of("Deployment")[program.dns]["spec"]["template"]
        container = container_of(template)
        given = environment(container) | found.settings()
        drain = float(given.get("DRAIN_S", default))
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace = template["spec"].get("terminationGracePeriodSeconds", 30)
        in_compose = float(compose()[program.name]["stop_grace_period"].removesuffix("s"))
        if pause < 1:
            yield f"{program.dns}: no preStop pause, so requests still arrive while the server closes"
        if grace < max(pause + drain + CLOSING_S, pause + in_compose):
            yield (
                f"{program.dns}: killed after {grace} s; preStop takes {pause} s, the drain {drain:.0f} s,"
                f" closing {CLOSING_S} s; compose.yaml allows {in_compose:.0f} s without preStop"
            )


def resources_are_limited(found: Rendered) -> Iterator[str]:
    for owner, template, container in found.containers():
        resources = container.get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        if (
            not requests.get("cpu")
            or requests.get("memory") != limits.get("memory")
            or not limits.get("memory")
        ):
            yield f"{owner}: it needs a CPU request, and the same memory as request and as limit"
        for volume in template["spec"].get("volumes", ()):
            if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
                yield f"{owner}: the emptyDir {volume['name']} has no sizeLimit"


def pods_are_spread(found: Rendered) -> Iterator[str]:
    for program in programs():
        template = found.of("Deployment")[program.dns]["spec"]["template"]
        labels = template["metadata"]["labels"]
        constraints = template["spec"].get("topologySpreadConstraints", ())
        keys = {
            each["topologyKey"]
            for each in constraints
            if selects(each["labelSelector"], labels) and "app.kubernetes.io/name" in each["matchLabelKeys"]
        }
        if keys != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{program.dns}: its pods must spread over zones and nodes, each program by itself"


def updates_and_drains_keep_an_instance(found: Rendered) -> Iterator[str]:
    for program in programs():
        strategy = found.of("Deployment")[program.dns]["spec"].get("strategy", {}).get("rollingUpdate", {})
        if strategy.get("maxUnavailable") != 0:
            yield f"Deployment {program.dns}: a rolling update stops an instance before the new one is ready"
        budget: Manifest = found.of("PodDisruptionBudget")[program.dns]["spec"]
        if budget.get("maxUnavailable") != 1 or "minAvailable" in budget:
            yield f"PodDisruptionBudget {program.dns}: exactly one pod may be missing"

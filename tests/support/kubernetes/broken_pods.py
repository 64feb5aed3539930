"""Changes that the rules for pods must refuse."""

from tests.support.kubernetes import rules_pods
from tests.support.kubernetes.broken import Break, Change, container, pod, setting, spec, variable


def _with(field: str, value: object) -> Change:
    """Sets a field of the container's securityContext."""
    return lambda found: container(found)["securityContext"].update({field: value})


def _without(field: str) -> Change:
    """Removes a field of the pod's securityContext."""
    return lambda found: pod(found)["securityContext"].pop(field)


PODS = {
    **{
        f"{field} of a container": Break(
            rules_pods.pods_are_unprivileged,
            _with(field, value),
            f"order-svc: {field}",
        )
        for field, value in (
            ("allowPrivilegeEscalation", True),
            ("readOnlyRootFilesystem", False),
            ("capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}),
            ("privileged", True),
        )
    },
    **{
        f"{field} of a pod": Break(
            rules_pods.pods_are_unprivileged,
            _without(field),
            f"order-svc: {field}",
        )
        for field in ("runAsNonRoot", "seccompProfile")
    },
    "a token of the API server": Break(
        rules_pods.pods_are_unprivileged,
        lambda found: pod(found).pop("automountServiceAccountToken"),
        "order-svc: automountServiceAccountToken",
    ),
    "an account with a token": Break(
        rules_pods.pods_are_unprivileged,
        lambda found: found.of("ServiceAccount")["order-svc"].pop("automountServiceAccountToken"),
        "ServiceAccount order-svc",
    ),
    "a folder of the node": Break(
        rules_pods.pods_are_unprivileged,
        lambda found: pod(found)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "order-svc: hostPath",
    ),
    "a secret in a variable": Break(
        rules_pods.secrets_are_files,
        lambda found: container(found)["env"].append(
            {
                "name": "SERVICE_TOKEN",
                "valueFrom": {"secretKeyRef": {"name": "service-token", "key": "token"}},
            }
        ),
        "SERVICE_TOKEN is a secret in a variable",
    ),
    "a password in an address": Break(
        rules_pods.secrets_are_files,
        variable("MONGO_URL", "mongodb://order_svc:secret@mongo/?tls=true"),
        "MONGO_URL holds a password",
    ),
    "a Secret in the repository": Break(
        rules_pods.secrets_are_files,
        lambda found: found.objects.append({"kind": "Secret", "metadata": {"name": "smtp"}}),
        "Secret smtp: its content",
    ),
    "a probe of another path": Break(
        rules_pods.probes_use_the_health_endpoints,
        lambda found: container(found)["livenessProbe"]["httpGet"].update(path="/readyz"),
        "livenessProbe must get /healthz",
    ),
    "a drain longer than the grace period": Break(
        rules_pods.pods_stop_after_their_drain, setting("DRAIN_S", "50"), "killed after 60 s"
    ),
    "a grace period shorter than the drain": Break(
        rules_pods.pods_stop_after_their_drain,
        lambda found: pod(found).update(terminationGracePeriodSeconds=30),
        "order-svc: killed after 30 s",
    ),
    "no pause before the stop": Break(
        rules_pods.pods_stop_after_their_drain,
        lambda found: container(found).pop("lifecycle"),
        "no preStop pause",
    ),
    "no memory limit": Break(
        rules_pods.resources_are_limited,
        lambda found: container(found)["resources"].pop("limits"),
        "Deployment order-svc: it needs a CPU request",
    ),
    "no size of a folder in memory": Break(
        rules_pods.resources_are_limited,
        lambda found: pod(found)["volumes"][-1].update(emptyDir={}),
        "the emptyDir tmp has no sizeLimit",
    ),
    "all programs spread together": Break(
        rules_pods.pods_are_spread,
        lambda found: pod(found)["topologySpreadConstraints"][0].update(matchLabelKeys=[]),
        "must spread over zones and nodes",
    ),
    "an update that stops first": Break(
        rules_pods.updates_and_drains_keep_an_instance,
        lambda found: spec("Deployment", "order-svc")(found)["strategy"].update(rollingUpdate={}),
        "before the new one is ready",
    ),
    "a budget without a disruption": Break(
        rules_pods.updates_and_drains_keep_an_instance,
        lambda found: spec("PodDisruptionBudget", "order-svc")(found).update(maxUnavailable=0),
        "exactly one pod may be missing",
    ),
}

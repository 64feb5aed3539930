"""The objects around a program's Deployment: Service, account, network, disruption, scaling, metrics."""

from journey.admin.registry import WEB_PROGRAMS
from tests.support.kubernetes import names
from tests.support.kubernetes.programs import Program, callers, dns_name
from tests.support.kubernetes.workload import Manifest, labels, ports, selector

OPERATIONS = "operations"
CPU_PERCENT = 70


def service_account(program: Program) -> Manifest:
    """No program talks to the API server."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": program.dns},
        "automountServiceAccountToken": False,
    }


def service(program: Program) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": program.dns, "labels": labels(program)},
        "spec": {
            "selector": {names.NAME_LABEL: program.dns},
            "ports": [
                {"name": name, "port": port, "targetPort": name} for name, port in ports(program).items()
            ],
        },
    }


def network_policy(program: Program) -> Manifest:
    """HTTP between programs. Everything else is in base/network-policies.yaml."""
    spec: Manifest = {"podSelector": selector(program), "policyTypes": ["Ingress", "Egress"]}
    if calling := callers(program.name):
        spec["ingress"] = [{"from": _pods(calling), "ports": _http()}]
    if program.calls:
        spec["egress"] = [{"to": _pods(program.calls), "ports": _http()}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": program.dns},
        "spec": spec,
    }


def disruption_budget(program: Program) -> Manifest:
    """A pod that is not ready never blocks the drain of a node."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": program.dns},
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": selector(program),
        },
    }


def service_monitor(program: Program) -> Manifest:
    """The labels `job` and `service` are those of deploy/observability/prometheus/prometheus.yml."""
    labelled = {"job": "services", "service": program.name}
    endpoint = {
        "port": "http",
        "scheme": "https",
        "interval": "15s",
        "honorLabels": True,  # a service names itself in its metrics
        "tlsConfig": {
            "ca": {"configMap": {"name": names.CA_CONFIG_MAP, "key": "ca.crt"}},
            "serverName": program.dns,
        },
        "relabelings": [{"targetLabel": label, "replacement": value} for label, value in labelled.items()],
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": program.dns},
        "spec": {"selector": selector(program), "endpoints": [endpoint]},
    }


def trigger_authentication(program: Program) -> Manifest:
    """KEDA reads the lengths of a service's queues as that service's broker user, who may read no others.

    A passive declaration of a queue needs no permission (https://www.rabbitmq.com/docs/access-control).
    """
    secret = names.broker_secret(program.dns)
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": secret},
        "spec": {
            "secretTargetRef": [
                {"parameter": key, "name": secret, "key": key} for key in ("username", "password")
            ],
            "configMapTargetRef": [
                {"parameter": "host", "name": names.BROKER_CONFIG_MAP, "key": "host"},
                {"parameter": "tls", "name": names.BROKER_CONFIG_MAP, "key": "tls"},
                {"parameter": "ca", "name": names.CA_CONFIG_MAP, "key": "ca.crt"},
            ],
        },
    }


def scaled_object(program: Program) -> Manifest:
    """One more instance for each batch of waiting messages that one instance takes at once."""
    return _scaled_object(program, {"scaleTargetRef": {"name": program.dns}, "triggers": triggers(program)})


def scaled_object_patch(program: Program, partitions: int) -> Manifest:
    """Replaces the triggers of the ScaledObject: kustomize does not merge the lists of a custom resource."""
    return _scaled_object(program, {"triggers": triggers(program, partitions)})


def _scaled_object(program: Program, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": program.dns},
        "spec": spec,
    }


def triggers(program: Program, partitions: int = 1) -> list[Manifest]:
    """One for each partition of its queues. Programs that serve requests scale by CPU, too."""
    found: list[Manifest] = [
        {
            "type": "rabbitmq",
            "name": queue.replace("_", "-").replace(".", "-"),
            "metadata": {
                "protocol": "amqp",
                "queueName": queue,
                "mode": "QueueLength",
                "value": str(prefetch),
                "activationValue": "0",
            },
            "authenticationRef": {"name": names.broker_secret(program.dns)},
        }
        for queue, prefetch in program.partitions(partitions).items()
    ]
    if set(callers(program.name)) - {OPERATIONS} or program.name in WEB_PROGRAMS:
        usage = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(CPU_PERCENT)}}
        found.append(usage)
    return found


def _pods(programs: tuple[str, ...]) -> list[Manifest]:
    return [{"podSelector": {"matchLabels": {names.NAME_LABEL: dns_name(each)}}} for each in programs]


def _http() -> list[Manifest]:
    return [{"port": names.HTTP_PORT, "protocol": "TCP"}]
